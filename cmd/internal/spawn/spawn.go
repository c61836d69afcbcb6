package spawn

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"raftcached"
	"raftcached/cmd/internal/parent"
)

// The exit codes of the spawner, the same as a server's.
const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 64
	exitConfig  = 78
)

// stopGrace is how long the servers may take to stop gracefully; then they are
// killed. What they acknowledged is on disk.
const stopGrace = 12 * time.Second

// Spawner is one run of server-spawner.
type Spawner struct {
	stdout   io.Writer
	cluster  *raftcached.Cluster
	children []*child
	authFile string    // of all servers; empty if they require no password
	secure   bool      // they serve clients with TLS
	exits    chan exit // one message for each child that was started
	running  int
}

// exit reports that a child has ended.
type exit struct {
	child *child
	err   error
}

// Main runs the servers of a config until a signal, or until none is left, and
// returns the exit code of the process. It must be called on the main goroutine
// and keeps that goroutine's thread.
func Main(args []string, stdout, stderr io.Writer) int {
	runtime.LockOSThread() // the parent-death signal belongs to this thread
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	config, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) || errors.Is(err, errVersion) {
		return exitStopped
	}
	code := exitUsage
	if err == nil {
		code, err = run(config, stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "server-spawner: %v\n", err) // nothing to do if stderr is gone
	}
	return code
}

// errVersion is the end of a run that was to print its version alone.
var errVersion = errors.New("version")

func parseFlags(args []string, stdout io.Writer) (config string, err error) {
	flags := flag.NewFlagSet("server-spawner", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&config, "config", "server.json", "the cluster's server.json")
	version := false
	flags.BoolVar(&version, "version", false, "print the version and exit")
	flags.BoolVar(&version, "V", false, "the same")
	switch err = flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, printErr := fmt.Fprint(stdout, "usage: server-spawner [-config server.json] [-V]\n\n"+
			"Starts every server of the config as a process of its own, reports when the\n"+
			"cluster serves, and stops all of them on SIGINT or SIGTERM. The log of a\n"+
			"server lies beside its data folder: data/0.log for data/0.\n")
		return "", errors.Join(err, printErr)
	case err != nil:
		text := strings.Replace(err.Error(), "flag provided but not defined: ", "unknown flag ", 1)
		return "", fmt.Errorf("%s: run it with -h to see the flags", text)
	case version:
		_, err := fmt.Fprintf(stdout, "server-spawner %s\n", raftcached.Version)
		return "", errors.Join(errVersion, err)
	case flags.NArg() > 0:
		return "", fmt.Errorf("unexpected argument %q: name the config with -config", flags.Arg(0))
	}
	return config, nil
}

// run is Main after the flags.
func run(configFile string, stdout io.Writer) (code int, err error) {
	cluster, err := raftcached.ReadCluster(configFile)
	if err != nil {
		return exitConfig, err
	}
	s := &Spawner{stdout: stdout, cluster: cluster, exits: make(chan exit, len(cluster.Servers))}
	if err := s.plan(); err != nil {
		return exitConfig, err
	}
	lock, err := claimData(filepath.Dir(s.children[0].dataDir))
	if err != nil {
		return exitFailed, err
	}
	defer func() { _ = lock.Close() }() // releases the folder; nothing is lost if it fails
	if err := checkPorts(cluster.Servers); err != nil {
		return exitFailed, err
	}

	stopSignals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		stopSignals = append(stopSignals, syscall.SIGHUP)
	}
	ctx, stopNotify := signal.NotifyContext(context.Background(), stopSignals...)
	defer stopNotify()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go parent.WatchGoRun(ctx, cancel)
	return s.serve(ctx)
}

// plan makes the table of children.
func (s *Spawner) plan() error {
	for _, server := range s.cluster.Servers {
		cfg, err := s.cluster.Config(server.ID)
		if err != nil {
			return err
		}
		s.authFile = cmp.Or(os.Getenv("RAFTCACHED_AUTH_FILE"), cfg.AuthFile) // as the servers choose it
		byVariable, _ := strconv.ParseBool(os.Getenv("RAFTCACHED_ENABLE_SSL"))
		s.secure = byVariable || cfg.TLS
		s.children = append(s.children, &child{
			server:  server,
			dataDir: cfg.DataDir,
			logFile: filepath.Clean(cfg.DataDir) + ".log",
		})
	}
	return nil
}

// serve starts the servers and watches them until the context ends or no server is
// left.
func (s *Spawner) serve(ctx context.Context) (code int, err error) {
	lifeline, hold, err := os.Pipe()
	if err != nil {
		return exitFailed, fmt.Errorf("create pipe: %w", err)
	}
	defer func() { _ = hold.Close() }() // nothing was written to it
	defer s.stopAll()
	for _, c := range s.children {
		if err := c.start(s.cluster.File, lifeline); err != nil {
			return exitFailed, err
		}
		s.running++
		go func() { s.exits <- exit{c, c.cmd.Wait()} }()
		s.printf("server %d pid %d client %s peer %s\n",
			c.server.ID, c.cmd.Process.Pid, c.server.ClientAddr(), c.server.PeerAddr())
	}
	if err := lifeline.Close(); err != nil {
		return exitFailed, fmt.Errorf("close pipe: %w", err)
	}

	readyCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	go func() {
		if awaitReady(readyCtx, s.cluster.Servers, s.authFile, s.secure) == nil {
			close(ready)
		}
	}()
	for s.running > 0 {
		select {
		case <-ctx.Done():
			return exitStopped, nil
		case <-ready:
			s.printf("cluster ready\n")
			ready = nil
		case e := <-s.exits:
			s.running--
			s.reportExit(e)
		}
	}
	return exitFailed, errors.New("all servers have exited: their logs say why")
}

// reportExit prints which server ended, why, and how to start it again.
func (s *Spawner) reportExit(e exit) {
	id := e.child.server.ID
	s.printf("server %d exited: %s\n", id, e.child.reason(e.err))
	program := "raftcached"
	if _, err := os.Stat(filepath.Join("cmd", "raftcached")); err == nil {
		program = "go run ./cmd/raftcached"
	}
	s.printf("start it again with: %s -config %s -id %d\n", program, s.cluster.File, id)
}

// stopAll stops the servers that still run, gracefully if possible.
func (s *Spawner) stopAll() {
	s.signalAll(syscall.SIGTERM)
	grace := time.After(stopGrace)
	for s.running > 0 {
		select {
		case <-s.exits:
			s.running--
		case <-grace:
			s.signalAll(syscall.SIGKILL)
		}
	}
}

func (s *Spawner) signalAll(sig os.Signal) {
	for _, c := range s.children {
		if c.cmd != nil && c.cmd.Process != nil { // nil: it was not started
			_ = c.cmd.Process.Signal(sig) // it may have ended already
		}
	}
}

// printf writes a line for the operator. The servers keep running if nobody reads
// it (Main catches SIGPIPE).
func (s *Spawner) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.stdout, format, args...)
}
