package raftcached

import (
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	"raftcached/engine"
	"raftcached/internal/node"
	"raftcached/internal/settings"
	"raftcached/protocol/server"
	"raftcached/replication/disk"
)

// The defaults of a node. Those that memcached has too are memcached's.
const (
	DefaultClientPort       = 11211
	DefaultDataDir          = "data"
	DefaultMemoryLimitBytes = 64 << 20
	DefaultItemBytesMax     = 1 << 20
	DefaultMaxConns         = 1024
	DefaultThreadsMax       = 4 // fewer on a machine with fewer cores
	DefaultRequestTimeout   = 2 * time.Second
	DefaultTick             = 10 * time.Millisecond
	DefaultElectionTicks    = 20
	DefaultHeartbeatTicks   = 3 // fewer if that is over a tenth of ElectionTicks
	DefaultLogRetainBytes   = 1 << 30
)

// partialTimeout is how long a client may take to complete a command. A client
// that takes longer is gone, and would hold a connection for ever.
const partialTimeout = time.Minute

// The bounds of what may be configured.
const (
	serversMax          = 9         // more voters only make each write slower
	serverIDMax         = 1<<31 - 2 // a raft id is a server id plus one
	portMax             = 65535
	memoryLimitMinBytes = 1 << 20
	memoryLimitMaxBytes = engine.MemoryBytesMax
	itemBytesMinOfMax   = 1 << 10 // memcached -I's
	itemBytesMaxOfMax   = 8 << 20 // an item travels whole in a frame between nodes
	connsMax            = 1 << 20
	threadsMax          = 256
	requestTimeoutMin   = 10 * time.Millisecond
	requestTimeoutMax   = 10 * time.Minute
	tickMin             = time.Millisecond
	tickMax             = time.Second
	electionTicksMin    = 10 // below it, one late tick is an election
	electionTicksMax    = 1000
	idleTimeoutMax      = 365 * 24 * time.Hour
	logRetainMinBytes   = 1 << 20
	logRetainMaxBytes   = 1 << 40
)

// Reads says how a node answers get and gets.
type Reads string

// The ways to answer reads.
const (
	// ReadsLinearizable shows every write that was acknowledged anywhere before
	// the read began. It needs a majority.
	ReadsLinearizable Reads = "linearizable"

	// ReadsLocal shows what the node has applied. It needs no other node and may
	// be stale.
	ReadsLocal Reads = "local"
)

// Server is one member of a cluster, as server.json lists it.
type Server struct {
	ID         int    // the operator's number, 0 or more
	Host       string // name or address at which clients and peers reach it
	ClientPort int    // memcached protocol
	LogPort    int    // replication between the servers; 0 in single-node mode
	Path       string // its data folder, if it is not the cluster's path and its id
}

// ClientAddr returns the host:port at which clients reach the server.
func (s Server) ClientAddr() string { return joinHostPort(s.Host, s.ClientPort) }

// PeerAddr returns the host:port at which the other servers reach it.
func (s Server) PeerAddr() string { return joinHostPort(s.Host, s.LogPort) }

func joinHostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Config is all that one node needs to know. A field that is zero takes its
// default, so that Config{} is a lone node with memcached's settings; Complete
// fills the defaults in.
type Config struct {
	ServerID int      // which of Servers this node is
	Servers  []Server // the whole cluster, in the order of ids; empty: this node alone

	DataDir     string   // folder of this node's log and snapshots
	ClientAddrs []string // host:port each, at which clients are served; an empty host is every interface
	PeerAddr    string   // host:port at which peers are served; empty in single-node mode

	MemoryLimitBytes int64 // keys, values and a constant for each item; the state, not the process
	ItemBytesMax     int   // key and value of one item; at most half of MemoryLimitBytes
	NoEvict          bool  // answer "out of memory" rather than evict

	Reads          Reads
	RequestTimeout time.Duration // a request waits at most this long for the cluster

	// Raft's clock. An election starts after ElectionTicks to twice as many ticks
	// without a leader; a leader speaks every HeartbeatTicks. All nodes of a
	// cluster need the same values.
	Tick           time.Duration
	ElectionTicks  int
	HeartbeatTicks int

	MaxConns      int           // client connections at one time
	Threads       int           // event loops
	IdleTimeout   time.Duration // a connection idle this long is closed; 0: never
	FlushDisabled bool          // refuse flush_all
	AuthFile      string        // users and passwords of those who may use the cache; empty: everybody may
	Verbose       int           // 0 to 3, as memcached's -v to -vvv

	// LogRetainBytes is how much of the log stays on disk for nodes that were
	// away, or the size of the state if that is more.
	LogRetainBytes int64

	Logger *slog.Logger // nil: nothing is logged
}

// ConfigError is the type of an error that a change of the configuration repairs.
// It says in one sentence what is wrong and what to change.
type ConfigError = settings.Error

// Complete returns the configuration with every default filled in, or a
// *ConfigError if it cannot work. It shares no memory with c.
func (c Config) Complete() (Config, error) {
	c.fillNode()
	c.fillLimits()
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// fillNode sets the defaults of where the node lives.
func (c *Config) fillNode() {
	c.Servers = append([]Server(nil), c.Servers...)
	if len(c.Servers) == 0 {
		c.Servers = []Server{{ID: c.ServerID, Host: "localhost", ClientPort: DefaultClientPort}}
		if len(c.ClientAddrs) == 0 {
			c.ClientAddrs = []string{joinHostPort("", DefaultClientPort)}
		}
	}
	c.ClientAddrs = append([]string(nil), c.ClientAddrs...)
	if len(c.ClientAddrs) == 0 {
		for _, s := range c.Servers {
			if s.ID == c.ServerID {
				c.ClientAddrs = []string{s.ClientAddr()}
			}
		}
	}
	setDefault(&c.DataDir, DefaultDataDir)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// fillLimits sets the defaults of numbers and times.
func (c *Config) fillLimits() {
	setDefault(&c.MemoryLimitBytes, DefaultMemoryLimitBytes)
	setDefault(&c.ItemBytesMax, int(min(DefaultItemBytesMax, c.MemoryLimitBytes/2)))
	setDefault(&c.Reads, ReadsLinearizable)
	setDefault(&c.RequestTimeout, DefaultRequestTimeout)
	setDefault(&c.Tick, DefaultTick)
	setDefault(&c.ElectionTicks, DefaultElectionTicks)
	setDefault(&c.HeartbeatTicks, min(DefaultHeartbeatTicks, max(1, c.ElectionTicks/electionTicksMin)))
	setDefault(&c.MaxConns, DefaultMaxConns)
	setDefault(&c.Threads, min(DefaultThreadsMax, runtime.GOMAXPROCS(0)))
	setDefault(&c.LogRetainBytes, DefaultLogRetainBytes)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check reports the first thing that is wrong with a filled-in configuration.
func (c *Config) check() error {
	if err := checkServers(c.Servers); err != nil {
		return err
	}
	listed := false
	for _, s := range c.Servers {
		listed = listed || s.ID == c.ServerID
	}
	if !listed {
		return errNotListed(c.ServerID, c.Servers)
	}
	if c.PeerAddr == "" && len(c.Servers) > 1 {
		return settings.Errorf("server %d of a cluster has no peer address: set its host and logPort", c.ServerID)
	}
	for _, addr := range append([]string{c.PeerAddr}, c.ClientAddrs...) {
		if err := checkAddr(addr); err != nil {
			return err
		}
	}
	if c.Reads != ReadsLinearizable && c.Reads != ReadsLocal {
		return settings.Errorf("reads %q are unknown: use %q or %q", c.Reads, ReadsLinearizable, ReadsLocal)
	}
	return c.checkLimits()
}

// assembly returns what a node is assembled from, of a complete configuration.
func (c *Config) assembly() node.Config {
	n := node.Config{
		ServerID: c.ServerID, Disk: disk.OS(), DataDir: c.DataDir, PeerAddr: c.PeerAddr,
		Limits:     engine.Limits{MemoryBytes: c.MemoryLimitBytes, ItemBytesMax: c.ItemBytesMax, NoEvict: c.NoEvict},
		LocalReads: c.Reads == ReadsLocal, RequestTimeout: c.RequestTimeout,
		Tick: c.Tick, ElectionTicks: c.ElectionTicks, HeartbeatTicks: c.HeartbeatTicks, LogRetainBytes: c.LogRetainBytes,
		AuthFile: c.AuthFile, Logger: c.Logger,
		Server: server.Options{
			Listen: c.ClientAddrs, Loops: c.Threads, MaxConnections: c.MaxConns,
			IdleTimeout: c.IdleTimeout, PartialTimeout: partialTimeout, FlushDisabled: c.FlushDisabled,
			Version: MemcachedVersion, RaftcachedVersion: Version, Verbosity: c.Verbose, Logger: c.Logger,
		},
	}
	for _, s := range c.Servers {
		n.Servers = append(n.Servers, node.Server{ID: s.ID, Host: s.Host, ClientPort: s.ClientPort, LogPort: s.LogPort})
	}
	return n
}

// checkLimits checks every number against its bounds.
func (c *Config) checkLimits() error {
	err := firstError(
		checkRange("memory limit in bytes", c.MemoryLimitBytes, memoryLimitMinBytes, memoryLimitMaxBytes),
		checkRange("item limit in bytes", int64(c.ItemBytesMax), itemBytesMinOfMax, itemBytesMaxOfMax),
		checkRange("request timeout in ms", c.RequestTimeout.Milliseconds(), requestTimeoutMin.Milliseconds(), requestTimeoutMax.Milliseconds()),
		checkRange("tick in ms", c.Tick.Milliseconds(), tickMin.Milliseconds(), tickMax.Milliseconds()),
		checkRange("election ticks", int64(c.ElectionTicks), electionTicksMin, electionTicksMax),
		checkRange("heartbeat ticks", int64(c.HeartbeatTicks), 1, int64(c.ElectionTicks)/3),
		checkRange("connection limit", int64(c.MaxConns), 1, connsMax),
		checkRange("number of threads", int64(c.Threads), 1, threadsMax),
		checkRange("idle timeout in seconds", int64(c.IdleTimeout/time.Second), 0, int64(idleTimeoutMax/time.Second)),
		checkRange("retained log in bytes", c.LogRetainBytes, logRetainMinBytes, logRetainMaxBytes),
	)
	if err != nil {
		return err
	}
	if half := c.MemoryLimitBytes / 2; int64(c.ItemBytesMax) > half {
		return settings.Errorf("item limit of %d bytes is more than half of the memory limit of %d: lower it to %d or raise the memory limit",
			c.ItemBytesMax, c.MemoryLimitBytes, half)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRange(what string, value, lowest, highest int64) error {
	if value < lowest || value > highest {
		return settings.Errorf("%s is %d: choose one from %d to %d", what, value, lowest, highest)
	}
	return nil
}

// checkAddr checks a host:port. Port 0 is allowed: the system chooses one.
func checkAddr(addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		var n uint64
		n, err = strconv.ParseUint(port, 10, 16)
		if err == nil && n <= portMax {
			return nil
		}
	}
	return settings.Errorf("address %q is not host:port: write it like 127.0.0.1:%d", addr, DefaultClientPort)
}

// errNotListed says which ids there are to choose from.
func errNotListed(id int, servers []Server) error {
	ids := make([]string, len(servers))
	for i, s := range servers {
		ids[i] = strconv.Itoa(s.ID)
	}
	return settings.Errorf("server id %d is not listed: choose one of %s", id, strings.Join(ids, ", "))
}

// checkServers checks a list of servers: ids, hosts and ports, each of them used
// once.
func checkServers(servers []Server) error {
	if len(servers) == 0 || len(servers) > serversMax {
		return settings.Errorf("%d servers are listed: list 1 to %d", len(servers), serversMax)
	}
	ids := map[int]bool{}
	addrs := map[string]int{}
	for _, s := range servers {
		if s.ID < 0 || s.ID > serverIDMax {
			return settings.Errorf("server id %d is out of range: choose one from 0 to %d", s.ID, serverIDMax)
		}
		if ids[s.ID] {
			return settings.Errorf("server id %d is listed twice: give each server an id of its own", s.ID)
		}
		ids[s.ID] = true
		if s.Host == "" || strings.ContainsAny(s.Host, " \t/") {
			return settings.Errorf("host %q of server %d is not a name or an address: write it like 127.0.0.1", s.Host, s.ID)
		}
		if err := checkPorts(s, len(servers) > 1, addrs); err != nil {
			return err
		}
	}
	return nil
}

// checkPorts checks the two ports of one server and enters them in addrs, which
// maps each host:port to the server that has it.
func checkPorts(s Server, needLogPort bool, addrs map[string]int) error {
	if s.LogPort == 0 && needLogPort {
		return settings.Errorf("server %d has no logPort: give it the port for replication", s.ID)
	}
	for _, p := range []struct {
		name string
		port int
	}{{"clientPort", s.ClientPort}, {"logPort", s.LogPort}} {
		if p.port < 0 || p.port > portMax {
			return settings.Errorf("%s %d of server %d is not a port: choose one from 1 to %d", p.name, p.port, s.ID, portMax)
		}
		if p.port == 0 {
			continue
		}
		addr := strings.ToLower(joinHostPort(s.Host, p.port))
		if other, taken := addrs[addr]; taken && other == s.ID {
			return settings.Errorf("clientPort and logPort of server %d are both %d: give them two ports", s.ID, p.port)
		} else if taken {
			return settings.Errorf("servers %d and %d both use %s: give one of them another port", other, s.ID, addr)
		}
		addrs[addr] = s.ID
	}
	return nil
}
