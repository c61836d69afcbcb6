//go:build linux

// Command compare starts memcached, one raftcached server and a raftcached
// cluster of three on this machine, drives them in alternating rounds, and
// prints a Markdown table. The raftcached servers keep their log on disk, synced
// before each reply.
//
//	go run ./bench/cmd/compare -duration 10s -rounds 5 > bench/results/NAME.md
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// startTimeout bounds the start of all servers.
const startTimeout = time.Minute

// The address of memcached: a loopback address that nothing else uses.
const (
	memcachedHost = "127.99.98.97"
	memcachedPort = "11211"
)

// memoryMiB is the memory of every server: enough that none evicts.
const memoryMiB = 256

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	duration := flag.Duration("duration", 5*time.Second, "length of a round")
	rounds := flag.Int("rounds", 5, "rounds of each target")
	dir := flag.String("dir", "", "folder for the servers' data; it decides which disk is measured (default: a temporary one)")
	flag.Parse()
	parent := *dir
	work, err := os.MkdirTemp(parent, "compare")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers do no harm
	var servers servers
	defer servers.stop()
	targets, err := servers.start(ctx, work)
	if err != nil {
		return err
	}
	var rows []bench.Row
	for _, s := range scenarios() {
		fmt.Fprintln(os.Stderr, "measuring", s.name)
		more, err := bench.Compare(ctx, targets, s.name, s.workload, *duration, *rounds)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	if err := writeHeader(os.Stdout, servers.versions, *duration, *rounds); err != nil {
		return err
	}
	return bench.WriteTable(os.Stdout, rows)
}

type scenario struct {
	name     string
	workload bench.Workload
}

// scenarios are gets and sets, one at a time and in bursts.
func scenarios() []scenario {
	var list []scenario
	for _, kind := range []struct {
		name string
		gets float64
	}{{"get", 1}, {"90 % get, 10 % set", 0.9}, {"set", 0}} {
		for _, depth := range []int{1, 16} {
			w := bench.DefaultWorkload
			w.GetRatio, w.Depth = kind.gets, depth
			list = append(list, scenario{fmt.Sprintf("%s, depth %d", kind.name, depth), w})
		}
	}
	return list
}

// servers are the processes that are measured.
type servers struct {
	memcached *cluster.Process
	clusters  []*cluster.Cluster
	versions  []string
}

// start starts all servers and fills them.
func (s *servers) start(ctx context.Context, dir string) ([]bench.Target, error) {
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.startMemcached(startCtx, dir); err != nil {
		return nil, err
	}
	targets := []bench.Target{{Name: "memcached", Addrs: []string{memcachedHost + ":" + memcachedPort}}}
	executable, err := cluster.Build(startCtx, dir, "./cmd/raftcached")
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, executable, "-V").Output()
	if err != nil {
		return nil, fmt.Errorf("ask raftcached's version: %w", err)
	}
	s.versions = append(s.versions, strings.TrimSpace(string(version)))
	for _, n := range []int{1, 3} {
		data := filepath.Join(dir, strconv.Itoa(n))
		if err := os.Mkdir(data, 0o755); err != nil {
			return nil, err
		}
		c, err := cluster.Start(startCtx, cluster.Options{
			Executable: executable, Dir: data, Servers: n, Settings: map[string]any{"memoryLimitMiB": memoryMiB},
		})
		if err != nil {
			return nil, err
		}
		s.clusters = append(s.clusters, c)
		targets = append(targets, bench.Target{Name: fmt.Sprintf("raftcached, nodes: %d", n), Addrs: c.ClientAddrs()})
	}
	for _, t := range targets {
		if err := bench.Fill(ctx, t, bench.DefaultWorkload); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// startMemcached starts the memcached that TEST_RAFTCACHED_MEMCACHED names, else the one
// in PATH, with as many threads as raftcached uses by default.
func (s *servers) startMemcached(ctx context.Context, dir string) error {
	program, err := cluster.FindMemcached()
	if err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, program, "-V").Output()
	if err != nil {
		return fmt.Errorf("ask memcached's version: %w", err)
	}
	s.versions = append(s.versions, strings.TrimSpace(string(version)))
	args := []string{
		"-l", memcachedHost, "-p", memcachedPort,
		"-m", strconv.Itoa(memoryMiB), "-t", strconv.Itoa(min(4, runtime.NumCPU())),
	}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // it refuses to run as root unasked
	}
	s.memcached, err = cluster.StartProcess(filepath.Join(dir, "memcached.log"), nil, program, args...)
	if err != nil {
		return err
	}
	return cluster.Await(ctx, func() error {
		_, err := cluster.Ask(ctx, memcachedHost+":"+memcachedPort, "version")
		return err
	})
}

// stop ends all servers.
func (s *servers) stop() {
	for _, c := range s.clusters {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
		}
	}
	if s.memcached != nil {
		_ = s.memcached.Signal(syscall.SIGKILL) // it ends with this process anyway
	}
}

// writeHeader writes what was measured, where and how.
func writeHeader(w io.Writer, versions []string, duration time.Duration, rounds int) error {
	d := bench.DefaultWorkload
	_, err := fmt.Fprintf(w, "# Comparison of %s\n\n"+
		"    %s\n\n"+
		"%s. %d cores (%s), shared by the servers and the generator; %s.\n"+
		"%d connections, %d keys of %d bytes, zipf %.2f, values of %d bytes; %d rounds of %v each, in turn.\n"+
		"A cluster's connections are spread over its nodes. Ratios are to memcached in the same round, medians.\n\n",
		time.Now().UTC().Format("2006-01-02"),
		"go run ./bench/cmd/compare "+strings.Join(os.Args[1:], " "),
		strings.Join(versions, ", "), runtime.NumCPU(), bench.ProcessorName(), runtime.Version(),
		d.Conns, d.Keys, d.KeyBytes, d.Theta, d.ValueBytes, rounds, duration)
	return err
}
