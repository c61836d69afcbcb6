package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The ports of server i, on the cluster's own loopback address.
const (
	clientPort = 11211
	logPort    = 11311
	adminPort  = 11511
	hiddenPort = 11411 // where a server listens for the others behind the network
)

// pollInterval is the pause between two requests to a server that is awaited.
const pollInterval = 10 * time.Millisecond

// Options configure a cluster.
type Options struct {
	Executable  string         // the raftcached program, as Build returned it
	Dir         string         // folder for data, logs and configs
	Servers     int            // how many
	Settings    map[string]any // more fields of server.json
	Args        []string       // more flags for each server
	Environment []string       // more variables for each server, NAME=VALUE
	Limits      string         // ulimit's arguments for each server, like "-n 200", which it cannot raise
	Network     bool           // put a network between the servers that Isolate can cut
}

// Cluster is a set of real servers.
type Cluster struct {
	Servers []*Server  // by id
	Config  string     // the server.json of all
	adding  sync.Mutex // while Servers grows: the network looks at them
	network *network   // nil without Options.Network
}

// Server is one server of a Cluster. It outlives its process.
type Server struct {
	ID         int
	ClientAddr string // host:port
	AdminAddr  string // host:port
	DataDir    string
	LogFile    string

	executable  string
	args        []string
	hidden      []string // flags of where it listens behind the network
	environment []string
	process     atomic.Pointer[Process] // nil before the first start
}

// New prepares a cluster without starting any server.
//
// It uses a loopback address of its own, chosen at random from 127/8. So several
// clusters can run at the same time, and no outgoing connection can occupy one of
// its ports while a server restarts.
func New(o Options) (*Cluster, error) {
	host, err := RandomLoopback()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(o.Dir, "server.json")
	c := &Cluster{Config: config}
	if err := o.writeConfig(config, host); err != nil {
		return nil, err
	}
	for id := range o.Servers {
		s := &Server{
			ID:          id,
			ClientAddr:  joinAddr(host, clientPort+id),
			AdminAddr:   joinAddr(host, adminPort+id),
			DataDir:     filepath.Join(o.Dir, "data", strconv.Itoa(id)),
			LogFile:     filepath.Join(o.Dir, fmt.Sprintf("server%d.log", id)),
			executable:  o.Executable,
			args:        append([]string{"-config", config, "-id", strconv.Itoa(id)}, o.Args...),
			environment: o.Environment,
		}
		if o.Limits != "" {
			s.executable, s.args = Limited(o.Limits, s.executable, s.args...)
		}
		if o.Network {
			s.hide(host)
			s.args = append(s.args, s.hidden...)
		}
		c.Servers = append(c.Servers, s)
	}
	if o.Network {
		if err := c.startNetwork(host); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Start prepares a cluster, starts every server and waits until all serve.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	for _, s := range c.Servers {
		if err := s.Start(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.AwaitReady(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func joinAddr(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// writeConfig writes the server.json of all servers.
func (o Options) writeConfig(file, host string) error {
	config := map[string]any{"path": "data"}
	for name, value := range o.Settings {
		config[name] = value
	}
	var servers []map[string]any
	for id := range o.Servers {
		servers = append(servers, map[string]any{"id": id, "host": host, "clientPort": clientPort + id, "logPort": logPort + id, "adminPort": adminPort + id})
	}
	config["servers"] = servers
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("encode config: %w", err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// startNetwork puts a proxy on each server's logPort, in front of the port where the
// server really listens.
func (c *Cluster) startNetwork(host string) error {
	c.network = newNetwork(func(conn net.Conn) int { return ownerOf(conn, c.pids()) }, func(id int) bool { return c.server(id).Running() })
	for _, s := range c.Servers {
		if err := c.network.pass(host, s); err != nil {
			return err
		}
	}
	return nil
}

// pass has connections to a server go through the network.
func (n *network) pass(host string, s *Server) error {
	_, err := n.listen(joinAddr(host, s.LogPort()), s.ID, joinAddr(host, hiddenPort+s.ID))
	return err
}

// hide has a server listen behind the network.
func (s *Server) hide(host string) {
	s.hidden = []string{"-peer-listen", joinAddr(host, hiddenPort+s.ID)}
}

func (c *Cluster) server(id int) *Server {
	c.adding.Lock()
	defer c.adding.Unlock()
	return c.Servers[id]
}

// pids returns the process id of each server, 0 for one that was not started.
func (c *Cluster) pids() []int {
	c.adding.Lock()
	defer c.adding.Unlock()
	pids := make([]int, len(c.Servers))
	for i, s := range c.Servers {
		if p := s.process.Load(); p != nil {
			pids[i] = p.Pid()
		}
	}
	return pids
}

// Isolate cuts all links between one server and the others. It needs
// Options.Network.
func (c *Cluster) Isolate(id int) { c.network.setCut(c.pairsOf(id), true) }

// Cut loses what one server sends another, and nothing the other way. It needs
// Options.Network.
func (c *Cluster) Cut(from, to int) { c.network.setCut([]pair{{from, to}}, true) }

// Mend undoes every Isolate and Cut.
func (c *Cluster) Mend() {
	for id := range c.Servers {
		c.network.setCut(c.pairsOf(id), false)
	}
}

// pairsOf returns all pairs that one server belongs to.
func (c *Cluster) pairsOf(id int) []pair {
	var pairs []pair
	for other := range c.Servers {
		if other != id {
			pairs = append(pairs, pair{id, other}, pair{other, id})
		}
	}
	return pairs
}

// Close kills every server and waits until all have ended.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, s.Kill())
	}
	if c.network != nil {
		errs = append(errs, c.network.close())
	}
	return errors.Join(errs...)
}

// ClientAddrs returns the client address of each server.
func (c *Cluster) ClientAddrs() []string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.ClientAddr
	}
	return addrs
}

// Start starts the server's process. It must not be running.
func (s *Server) Start() error {
	if s.Running() {
		return fmt.Errorf("start server %d: it runs", s.ID)
	}
	process, err := StartProcess(s.LogFile, s.environment, s.executable, s.args...)
	if err != nil {
		return err
	}
	s.process.Store(process)
	return nil
}

// Use makes another program the one that the next Start runs. It is for clusters without
// Options.Limits.
func (s *Server) Use(executable string) { s.executable = executable }

// Running reports whether the server's process runs. A paused process counts.
func (s *Server) Running() bool {
	process := s.process.Load()
	if process == nil {
		return false
	}
	select {
	case <-process.Done():
		return false
	default:
		return true
	}
}

// Process returns the latest process of the server.
func (s *Server) Process() *Process { return s.process.Load() }

// Stop ends the server gracefully, with SIGTERM.
func (s *Server) Stop(ctx context.Context) error { return s.process.Load().End(ctx, syscall.SIGTERM) }

// killTimeout is how long the system may take to end a killed process.
const killTimeout = 10 * time.Second

// Kill ends the server with SIGKILL.
func (s *Server) Kill() error {
	process := s.process.Load()
	if process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	return process.End(ctx, syscall.SIGKILL)
}

// Pause stops the server's process with SIGSTOP: its connections stay open and it
// answers nothing.
func (s *Server) Pause() error { return s.process.Load().Signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() error { return s.process.Load().Signal(syscall.SIGCONT) }

// Race returns what the race detector has found, or "" if it found nothing or the
// server was built without it. The exit code of a killed server does not say.
func (s *Server) Race() string {
	const bytesMax = 8 << 10
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return ""
	}
	_, report, found := strings.Cut(string(text), "WARNING: DATA RACE")
	if !found {
		return ""
	}
	return report[:min(len(report), bytesMax)]
}

// LogTail returns the last lines of the server's log.
func (s *Server) LogTail() string {
	const lines = 30
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
