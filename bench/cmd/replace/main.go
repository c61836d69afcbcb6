//go:build linux

// Command replace measures how a dead server is replaced while clients use the cluster:
// how long it takes, and what throughput and latency are before, meanwhile and
// afterwards. It runs three real servers with full caches, kills one with kill -9,
// removes its folder, and does what docs/operate.md says: raftcachectl member replace,
// and the command that this prints.
//
//	go run ./bench/cmd/replace -size 64
//
// The load is a closed loop: each connection sends its next request when the last one
// was answered. A client whose server fails goes on at another one, and comes back when
// its own answers again.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"raftcached/bench/steady"
	"raftcached/internal/cluster"
)

const (
	// takesMax is how long a replacement may take.
	takesMax = time.Minute

	// waitMax bounds what is waited for.
	waitMax = 90 * time.Second
)

type config struct {
	steady.Setup
	quiet time.Duration
	leads bool
}

func main() {
	c := config{Setup: steady.Setup{Conns: 24, Servers: 3}}
	flag.IntVar(&c.SizeMiB, "size", 64, "MiB of the cache, which is full")
	flag.IntVar(&c.ValueBytes, "value", 1024, "bytes of a value")
	flag.IntVar(&c.Conns, "conns", c.Conns, "connections; nine of ten requests are gets")
	flag.DurationVar(&c.quiet, "quiet", 15*time.Second, "length of the stretches before and after")
	flag.BoolVar(&c.leads, "leader", false, "kill the leader instead of a follower")
	flag.StringVar(&c.Dir, "dir", "", "folder for all files")
	flag.Parse()
	steady.Main("replace", func(ctx context.Context, out *strings.Builder) error { return run(ctx, c, out) })
}

func run(ctx context.Context, c config, out *strings.Builder) error {
	return c.In(ctx, func(f steady.Folder) error {
		servers, err := f.Start(ctx, "servers", c.Servers, map[string]any{"memoryLimitMiB": c.SizeMiB})
		if err != nil {
			return err
		}
		defer func() { _ = servers.Close() }() // the processes end with this one anyway
		if err := c.Fill(ctx, servers.ClientAddrs()); err != nil {
			return err
		}
		r := runner{config: c, folder: f, servers: servers}
		if err := r.measure(ctx); err != nil {
			return err
		}
		return r.report(out)
	}, "raftcached", "raftcachectl")
}

// runner measures one replacement.
type runner struct {
	config
	folder  steady.Folder
	servers *cluster.Cluster
	process *cluster.Process // the new server

	samples              []sample
	failed               int // requests without an answer
	killed, replaced     time.Time
	began, started, ends time.Time
	said                 string // by raftcachectl
}

// measure keeps the load up through all stretches.
func (r *runner) measure(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	load := newLoad(r.servers.ClientAddrs(), &r.config)
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.run(ctx)
	}()
	r.began = time.Now()
	err := steady.Sleep(ctx, r.quiet)
	if err == nil {
		err = r.replace(ctx)
	}
	if err == nil {
		err = steady.Sleep(ctx, r.quiet)
	}
	r.ends = time.Now()
	cancel()
	<-done
	r.samples, r.failed = load.result()
	if r.process != nil {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), waitMax)
		defer stop()
		err = errors.Join(err, r.process.End(end, syscall.SIGKILL))
	}
	return err
}

// replace has a server die, and replaces it.
func (r *runner) replace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	victim, err := r.servers.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	if !r.leads {
		victim = r.servers.Servers[(victim.ID+1)%len(r.servers.Servers)]
	}
	r.killed = time.Now()
	if err := victim.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(victim.DataDir); err != nil {
		return err
	}
	// It would ask while the others still have connections to the server.
	ctl := exec.CommandContext(ctx, r.folder.Programs["raftcachectl"], "member", "replace", fmt.Sprint(victim.ID), "--yes")
	ctl.Dir = filepath.Dir(r.servers.Config)
	var output, complaints bytes.Buffer
	ctl.Stderr = &complaints
	stdout, err := ctl.StdoutPipe()
	if err != nil {
		return err
	}
	if err := ctl.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(stdout, &output))
	for lines.Scan() {
		if args := strings.Fields(lines.Text()); len(args) > 0 && args[0] == "raftcached" && r.process == nil {
			if err = r.start(victim, args[1:]); err != nil {
				break
			}
		}
	}
	err = errors.Join(err, lines.Err(), ctl.Wait())
	r.replaced, r.said = time.Now(), output.String()
	if err != nil {
		return fmt.Errorf("raftcachectl member replace %d: %w: %s%s", victim.ID, err, r.said, complaints.String())
	}
	return nil
}

// start starts what raftcachectl says, with the folder and the admin port of the server
// that has died.
func (r *runner) start(victim *cluster.Server, args []string) (err error) {
	r.started = time.Now()
	if i := slices.Index(args, filepath.Base(r.servers.Config)); i >= 0 {
		args[i] = r.servers.Config // raftcachectl runs in its folder
	}
	args = append(args, "-data", victim.DataDir, "-admin-listen", victim.AdminAddr)
	r.process, err = cluster.StartProcess(victim.LogFile, nil, r.folder.Programs["raftcached"], args...)
	return err
}

// sample is an answered request.
type sample struct {
	at      time.Time // of the answer
	latency time.Duration
	isGet   bool
}

// load is connections that send requests.
type load struct {
	addrs []string
	*config

	mu      sync.Mutex
	samples []sample
	failed  int
}

func newLoad(addrs []string, c *config) *load { return &load{addrs: addrs, config: c} }

func (l *load) result() ([]sample, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.samples, l.failed
}

// run sends requests until the context ends.
func (l *load) run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range l.Conns {
		all.Go(func() {
			c := newClient(l, i)
			c.run(ctx)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.samples = append(l.samples, c.samples...)
			l.failed += c.failed
		})
	}
	all.Wait()
}
