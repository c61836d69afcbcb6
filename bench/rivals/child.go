//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// childWord is the first argument of this program when it is started by itself. Behind
// it come what to run, and that one's arguments.
const childWord = "child"

// children are what this program can be: they start, and serve until the process ends.
var children = map[string]func(args []string) error{
	"etcd":       serveEtcd,
	"raftcached": func(args []string) error { return serveClients(args, openRaftcached) },
	"tan":        func(args []string) error { return serveClients(args, openDragonboat(true)) },
	"pebble":     func(args []string) error { return serveClients(args, openDragonboat(false)) },
}

// runChild runs this program as a child of itself.
func runChild(args []string) error {
	if len(args) == 0 || children[args[0]] == nil {
		return fmt.Errorf("run child: no such child in %q", args)
	}
	return children[args[0]](args[1:])
}

// startChild starts this program again.
func startChild(dir, kind string, args ...string) (*cluster.Process, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	return cluster.StartProcess(filepath.Join(dir, kind+".log"), nil, executable, append([]string{childWord, kind}, args...)...)
}

// Clients are in-process clients, as another process calls them.
type Clients struct{ set setter }

// Round is one round of them.
type Round struct {
	Workload bench.Workload
	Duration time.Duration
}

// Measure drives clients for one round.
func (c *Clients) Measure(r Round, result *Measured) (err error) {
	setters := make([]setter, r.Workload.Conns)
	for i := range setters {
		setters[i] = c.set
	}
	*result, err = drive(context.Background(), setters, r.Workload, r.Duration)
	return err
}

// serveClients opens servers in a folder, the first argument, and lets another process
// call their clients at the socket "clients" in it.
func serveClients(args []string, open func(dir string) (setter, error)) error {
	if len(args) != 1 {
		return fmt.Errorf("serve clients: arguments are %q, want a folder", args)
	}
	set, err := open(args[0])
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(&Clients{set}); err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(args[0], "clients"))
	if err != nil {
		return err
	}
	server.Accept(l)
	return errors.New("serve clients: the socket was closed")
}

// inProcess is servers in one child process, with their clients.
type inProcess struct {
	process *cluster.Process
	client  *rpc.Client
}

// startInProcess starts a child that serves clients.
func startInProcess(ctx context.Context, dir, kind string) (*inProcess, error) {
	process, err := startChild(dir, kind, dir)
	if err != nil {
		return nil, err
	}
	p := &inProcess{process: process}
	err = awaitProcess(ctx, process, func() (err error) {
		p.client, err = rpc.Dial("unix", filepath.Join(dir, "clients"))
		return err
	})
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, kind+".log")) // for the message only
		return nil, errors.Join(fmt.Errorf("start %s in one process: %w\n%s", kind, err, text), p.close())
	}
	return p, nil
}

func (p *inProcess) measure(ctx context.Context, w bench.Workload, _ bench.Dialect, duration time.Duration) (m Measured, err error) {
	call := p.client.Go("Clients.Measure", Round{w, duration}, &m, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return m, call.Error
	case <-ctx.Done():
		return m, ctx.Err()
	}
}

func (p *inProcess) close() error {
	if p.client != nil {
		_ = p.client.Close() // the process ends now
	}
	return kill(p.process)
}

// awaitProcess calls f until it succeeds, the context ends or the process does.
func awaitProcess(ctx context.Context, p *cluster.Process, f func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return cluster.Await(ctx, f)
}

// endTimeout is how long a process may take to end.
const endTimeout = 10 * time.Second

// kill ends processes at once: nobody needs their data again.
func kill(processes ...*cluster.Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.End(ctx, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}
