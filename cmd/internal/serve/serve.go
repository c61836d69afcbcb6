package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"raftcached"
	"raftcached/cmd/internal/parent"
)

// The exit codes of a server. Those of Go's own are others: 2 is a panic.
const (
	exitStopped = 0 // by a signal or by the command shutdown, all in order
	exitFailed  = 1

	// Starting it again does not help. The numbers are those of sysexits.h.
	exitUsage  = 64 // wrong flags
	exitConfig = 78 // wrong server.json or environment, a data folder that is of no use to this server, or a program that is too old
)

// closeTimeout bounds a graceful stop, whose steps have bounds of their own, of
// 8 seconds in sum. What was acknowledged is on disk: ending the process loses
// nothing.
const closeTimeout = 10 * time.Second

// Node is a running server.
type Node interface {
	ClientAddrs() []net.Addr // where clients are served
	PeerAddr() string        // where the other servers reach it; empty: it needs none
	Members() []int          // ids of the servers of its cluster
	Removed() bool           // it knows that it is none of them any more
	Close() error
	Done() <-chan struct{} // closed when the node has stopped, by Close or by a failure
	Err() error            // why it stopped, if it was not closed
	Reload() error         // reads again what a running server may read again

	Alive(ctx context.Context) error // nil when all loops have had a turn since the call
}

// Process is what a server's process is given from outside.
type Process struct {
	Args           []string // without the program's name
	Environment    []string // NAME=VALUE each
	Stdout, Stderr io.Writer

	// Open starts the node. It may wait for the other servers of a cluster. If ctx
	// ends first it returns the error of ctx.
	Open func(ctx context.Context, cfg raftcached.Config) (Node, error)

	// Stop ends the server like SIGTERM when it is closed. It may be nil.
	Stop <-chan struct{}
}

// Main runs one server until a signal, Process.Stop or a failure, and returns the
// exit code of the process.
func Main(p Process) int {
	args, err := raftcached.ParseArguments(p.Args, p.Environment)
	switch {
	case err != nil:
		return p.fail(exitCode(err), err)
	case args.License:
		_, err = io.WriteString(p.Stdout, raftcached.License())
	case args.Help:
		err = raftcached.WriteUsage(p.Stdout)
	case args.Version:
		_, err = fmt.Fprintf(p.Stdout, "raftcached %s (memcached %s protocol)\n", raftcached.Version, raftcached.MemcachedVersion)
	default:
		return p.run(args)
	}
	if err != nil {
		return p.fail(exitFailed, err)
	}
	return exitStopped
}

// run opens the node and waits until it stops.
func (p Process) run(args raftcached.Arguments) int {
	for _, note := range args.Notes {
		_, _ = fmt.Fprintln(p.Stderr, "raftcached: "+note) // there is no other place to report it
	}
	if args.Check {
		return p.check(args.Config)
	}
	// Without this, a log line would end the server when its reader is gone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	log := newServerLog(p.Stderr)
	defer log.close()
	p.Stderr = log
	cfg := args.Config
	cfg.Logger, cfg.SetVerbosity = newLogger(p.Stderr, cfg.Verbose)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopNotify := stopAtSignal(ctx, cfg.Logger, cancel)
	defer stopNotify()
	go parent.WatchGoRun(ctx, cancel)
	go p.watchStop(ctx, cancel)
	logStart(&cfg)
	reloads := hangUps()
	node, err := p.Open(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		return exitStopped // it was told to stop before it served
	}
	if err != nil {
		return p.fail(exitCode(err), err)
	}
	if args.PIDFile != "" {
		if err := writePIDFile(args.PIDFile); err != nil { // memcached goes on too
			cfg.Logger.Error("write the process id", "file", args.PIDFile, "error", err)
		}
		defer func() { _ = os.Remove(args.PIDFile) }() // it may be gone already
	}
	systemd := supervisor{cfg.Logger}
	if !node.Removed() { // otherwise it waits to be told so by the others, and ends
		systemd.ready(node)
		cfg.Logger.Info("serving", "clients", texts(node.ClientAddrs()), "peers", node.PeerAddr(),
			"members", texts(node.Members()), "admin", cfg.AdminAddr, "data", cfg.DataDir)
	}
	stopReloads := reloadAt(reloads, node, cfg)
	watching, stopWatching := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { systemd.watch(watching, node) })
	select {
	case <-node.Done():
		err = node.Err()
	case <-ctx.Done():
	}
	stopReloads()
	stopWatching()
	watch.Wait()
	systemd.stopping()
	stopNotify() // a second signal ends the process at once
	return p.close(node, err)
}

// stopAtSignal calls cancel at the first SIGINT or SIGTERM, and logs which it was. After
// stop, or a second signal, the signals end the process at once.
func stopAtSignal(ctx context.Context, log *slog.Logger, cancel func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop = func() { signal.Stop(signals) }
	go func() {
		select {
		case s := <-signals:
			stop()
			name := "SIGTERM"
			if s == os.Interrupt {
				name = "SIGINT"
			}
			log.Info("stopping (" + name + ")")
			cancel()
		case <-ctx.Done():
		}
	}()
	return stop
}

// logStart logs what starts, and with which configuration.
func logStart(cfg *raftcached.Config) {
	commit := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	log := cfg.Logger.With("commit", commit, "go", runtime.Version(), "server", cfg.ServerID)
	switch {
	case len(cfg.Servers) > 0:
		log = log.With("of", len(cfg.Servers))
	case cfg.Join != "":
		log = log.With("join", cfg.Join)
	}
	log.Info("starting raftcached "+raftcached.Version, "data", cfg.DataDir, "memoryMiB", cfg.MemoryLimitBytes>>20,
		"itemSizeMax", cfg.ItemBytesMax, "maxConnections", cfg.MaxConns, "threads", cfg.Threads, "reads", string(cfg.Reads),
		"logRetainMiB", cfg.LogRetainBytes>>20, "tick", cfg.Tick, "electionTicks", cfg.ElectionTicks)
}

// texts writes values on one line.
func texts[T any](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

// hangUps returns a channel for SIGHUP, which never ends the process. It is called
// before the server can be reached, so that no signal comes too early.
func hangUps() chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals
}

// reloadable returns what is read again at SIGHUP, as attributes of a line of the log.
func reloadable(cfg *raftcached.Config) (files []any) {
	for _, f := range []struct{ what, name string }{
		{"users", cfg.AuthFile}, {"certificateForClients", cfg.TLSCert}, {"certificateForPeers", cfg.PeerCertFile},
	} {
		if f.name != "" {
			files = append(files, f.what, f.name)
		}
	}
	return files
}

// reloadAt makes the node read its files again at every signal, until stop is called.
func reloadAt(signals chan os.Signal, node Node, cfg raftcached.Config) (stop func()) {
	files := reloadable(&cfg)
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for range signals {
			switch err := node.Reload(); {
			case err != nil:
				cfg.Logger.Error("SIGHUP: what cannot be read stays as it was", "error", err)
			case len(files) > 0:
				cfg.Logger.Info("reloaded", files...)
			default:
				cfg.Logger.Info("SIGHUP: there is no file of users or certificates to read again")
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		reloads.Wait()
	}
}

// watchStop calls cancel when Stop is closed. It returns after that, or with the
// context.
func (p Process) watchStop(ctx context.Context, cancel func()) {
	select {
	case <-p.Stop:
		cancel()
	case <-ctx.Done():
	}
}

// close stops the node, which runs or has ended with failure.
func (p Process) close(node Node, failure error) int {
	closed := make(chan error, 1)
	go func() { closed <- node.Close() }()
	select {
	case err := <-closed:
		if failure == nil {
			failure = err
		}
	case <-time.After(closeTimeout):
		failure = fmt.Errorf("stop the server: not done within %v", closeTimeout)
	}
	if failure != nil {
		return p.fail(exitCode(failure), failure)
	}
	return exitStopped
}

// check prints a line for each thing that the server needs. The exit code is that of a
// server that failed for the same reason.
func (p Process) check(cfg raftcached.Config) int {
	checks, err := raftcached.Checks(cfg)
	if err != nil {
		return p.fail(exitCode(err), err)
	}
	code := exitStopped
	for _, c := range checks {
		mark := "ok"
		switch {
		case c.OK:
		case c.Configuration && code != exitFailed:
			mark, code = "!!", exitConfig
		default:
			mark, code = "!!", exitFailed
		}
		if _, err := fmt.Fprintf(p.Stdout, " %s %s\n", mark, c.Text); err != nil {
			return exitFailed
		}
	}
	return code
}

// exitCode returns the exit code of a server that does not start, or does not go on.
func exitCode(err error) int {
	var ce *raftcached.ConfigError
	switch {
	case !errors.As(err, &ce):
		return exitFailed
	case ce.Usage():
		return exitUsage
	}
	return exitConfig
}

// writePIDFile writes the id of this process, as a whole: a reader never finds the
// file empty.
func writePIDFile(name string) error {
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

func (p Process) fail(code int, err error) int {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")    // joined errors have a line each
	_, _ = fmt.Fprintf(p.Stderr, "raftcached: %s\n", text) // there is no other place to report it
	return code
}

// newLogger returns a logger that writes a line of text for each event, and what
// changes how much it writes: with -v decisions, from -vv on also what the raft
// library says. Requests are never logged.
func newLogger(w io.Writer, verbose int) (log *slog.Logger, setVerbosity func(int)) {
	level := new(slog.LevelVar)
	setVerbosity = func(v int) { level.Set(slog.LevelInfo - 4*slog.Level(min(v, 2))) }
	setVerbosity(verbose)
	return logTo(w, level), setVerbosity
}
