//go:build linux

// Command backup measures what clients notice of a backup: the latency of sets and gets
// at a steady rate through all servers, in pairs of a stretch without a backup and one
// in which raftcachectl backup runs.
//
//	go run ./bench/cmd/backup -size 1024
//
// The load is an open loop: requests are due at fixed times, whether or not earlier ones
// were answered. Latency is measured from when a request was due.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/bench/footprint"
	"raftcached/bench/steady"
	"raftcached/internal/cluster"
)

const (
	startTimeout = time.Minute // of the servers

	keyBytes = 32

	// settle is a pause before the load counts, and around a backup.
	settle = time.Second

	// ratioMax is how much a backup may raise the 99th percentile.
	ratioMax = 1.5
)

type config struct {
	sizeMiB, valueBytes, rate, conns, servers, rounds int
	quiet                                             time.Duration
	dir                                               string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var c config
	flag.IntVar(&c.sizeMiB, "size", 1024, "MiB of items")
	flag.IntVar(&c.valueBytes, "value", 1024, "bytes of a value")
	flag.IntVar(&c.rate, "rate", 2000, "sets a second, and as many gets")
	flag.IntVar(&c.conns, "conns", 96, "connections, half of them for sets")
	flag.IntVar(&c.servers, "servers", 3, "servers")
	flag.IntVar(&c.rounds, "rounds", 5, "pairs of a stretch without and with a backup")
	flag.DurationVar(&c.quiet, "quiet", 15*time.Second, "length of a stretch without a backup")
	flag.StringVar(&c.dir, "dir", "", "folder for the servers' data and the backup; it needs four times -size for each server")
	flag.Parse()
	var out strings.Builder
	err := run(ctx, c, &out)
	fmt.Print(out.String())
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out *strings.Builder) error {
	dir, err := os.MkdirTemp(c.dir, "backup")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system cleans its folder
	executable, err := cluster.Build(ctx, dir, "./cmd/raftcached")
	if err != nil {
		return err
	}
	ctl, err := cluster.Build(ctx, dir, "./cmd/raftcachectl")
	if err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	servers, err := cluster.Start(startCtx, cluster.Options{
		Executable: executable, Dir: dir, Servers: c.servers,
		// So much log is retained that all snapshots are those of backups.
		Settings: map[string]any{"memoryLimitMiB": c.sizeMiB + c.sizeMiB/4 + 8, "logRetainMiB": 16 * (c.sizeMiB + 256)},
	})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }() // the processes end with this one anyway
	r := runner{config: c, servers: servers, ctl: ctl, file: filepath.Join(dir, "items.backup")}
	if err := r.measure(ctx, out); err != nil {
		return err
	}
	return r.write(out)
}

// runner measures one cluster.
type runner struct {
	config
	servers *cluster.Cluster
	ctl     string // the program
	file    string // of the backup

	quietTimes, backups []steady.Window
	samples             []steady.Sample
	memory, peak        int64 // of the largest server, before and during backups
	fileBytes           int64
}

func (r *runner) measure(ctx context.Context, out *strings.Builder) error {
	keys := r.sizeMiB << 20 / (r.valueBytes + keyBytes)
	fmt.Fprintf(out, "%d servers with %d items of %d bytes; %d sets and %d gets a second.\n\n", len(r.servers.Servers), keys, r.valueBytes, r.rate, r.rate)
	fill := bench.DefaultWorkload
	fill.Keys, fill.KeyBytes, fill.ValueBytes = keys, keyBytes, r.valueBytes
	if err := bench.Fill(ctx, bench.Target{Name: "raftcached", Addrs: r.servers.ClientAddrs()}, fill); err != nil {
		return err
	}
	var pids []int
	for _, s := range r.servers.Servers {
		pids = append(pids, s.Process().Pid())
		m, err := footprint.ReadMemory(s.Process().Pid())
		if err != nil {
			return err
		}
		r.memory = max(r.memory, m.Bytes)
	}
	load := steady.Load{Addrs: r.servers.ClientAddrs(), Rate: r.rate, Conns: r.conns, Keys: keys, KeyBytes: keyBytes, ValueBytes: r.valueBytes}
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		samples []steady.Sample
		err     error
	}
	done := make(chan result, 1)
	go func() {
		samples, err := load.Run(loadCtx)
		done <- result{samples, err}
	}()
	var failed error
	for range r.rounds {
		if failed = r.round(ctx, pids); failed != nil {
			break
		}
	}
	stop()
	got := <-done
	r.samples = got.samples
	if failed != nil {
		return failed
	}
	return got.err
}

// round is a stretch without a backup, and a backup.
func (r *runner) round(ctx context.Context, pids []int) error {
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	begin := time.Now()
	if err := sleep(ctx, r.quiet); err != nil {
		return err
	}
	r.quietTimes = append(r.quietTimes, steady.Window{From: begin, To: time.Now()})
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	watchCtx, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() {
		bytes, _ := footprint.WatchPeak(watchCtx, 50*time.Millisecond, pids...) // it ends by the context
		peak <- bytes
	}()
	begin = time.Now()
	cmd := exec.CommandContext(ctx, r.ctl, "backup", "--force", r.file)
	cmd.Dir = filepath.Dir(r.servers.Config)
	output, err := cmd.CombinedOutput()
	r.backups = append(r.backups, steady.Window{From: begin, To: time.Now()})
	stop()
	r.peak = max(r.peak, <-peak)
	if err != nil {
		return fmt.Errorf("raftcachectl backup: %w: %s", err, output)
	}
	info, err := os.Stat(r.file)
	if err == nil {
		r.fileBytes = info.Size()
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write prints the latencies, and how many times higher the 99th percentile is during
// a backup than in the stretch before it.
func (r *runner) write(out *strings.Builder) error {
	fmt.Fprintf(out, "| request | backup %s\n| --- | --- %s\n", steady.CellNames, steady.CellLine)
	ratios := map[string]float64{}
	for i, name := range []string{"set", "get"} {
		isGet := i == 1
		for j, windows := range [][]steady.Window{r.quietTimes, r.backups} {
			l := steady.Of(r.samples, isGet, func(s *steady.Sample) bool { return s.Meets(windows) })
			fmt.Fprintf(out, "| %s | %s %s\n", name, []string{"none", "running"}[j], l.Cells())
		}
		ratios[name] = r.ratio(isGet)
	}
	took := time.Duration(0)
	for _, w := range r.backups {
		took += w.To.Sub(w.From) / time.Duration(len(r.backups))
	}
	fmt.Fprintf(out, "\nA backup of %d MiB takes %v, %.0f MiB/s. p99 during a backup is %.2f times that before it for sets, %.2f times for gets "+
		"(median of %d pairs). The largest server has %d MiB before and at most %d MiB during backups.\n",
		r.fileBytes>>20, took.Round(time.Millisecond), float64(r.fileBytes)/(1<<20)/took.Seconds(), ratios["set"], ratios["get"], len(r.backups), r.memory>>20, r.peak>>20)
	if highest := max(ratios["set"], ratios["get"]); highest > ratioMax {
		return fmt.Errorf("p99 is %.2f times as high during a backup, at most %.1f expected", highest, ratioMax)
	}
	return nil
}

// ratio is the median over the pairs.
func (r *runner) ratio(isGet bool) float64 {
	var ratios []float64
	for i := range r.backups {
		p99 := func(w steady.Window) float64 {
			l := steady.Of(r.samples, isGet, func(s *steady.Sample) bool { return s.Meets([]steady.Window{w}) })
			return l.At(990).Seconds()
		}
		ratios = append(ratios, p99(r.backups[i])/p99(r.quietTimes[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
