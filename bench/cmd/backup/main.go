//go:build linux

// Command backup measures what clients notice of a backup: the latency of sets and gets
// at a steady rate through all servers, in pairs of a stretch without a backup and one
// in which raftcachectl backup runs; and how fast the backup is restored.
//
//	go run ./bench/cmd/backup -size 1024
//
// The load is an open loop: requests are due at fixed times, whether or not earlier ones
// were answered. Latency is measured from when a request was due.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"raftcached/bench/footprint"
	"raftcached/bench/steady"
	"raftcached/internal/cluster"
)

const (
	// settle is a pause before the load counts, and around a backup.
	settle = time.Second

	// ratioMax is how much a backup may raise the 99th percentile.
	ratioMax = 1.5
)

type config struct {
	steady.Setup
	rounds  int
	quiet   time.Duration
	restore []int // sizes of clusters
}

func main() {
	c := config{Setup: steady.Setup{Rate: 2000, Conns: 96, Servers: 3}}
	c.AddFlags(flag.CommandLine)
	flag.IntVar(&c.rounds, "rounds", 5, "pairs of a stretch without and with a backup")
	flag.DurationVar(&c.quiet, "quiet", 15*time.Second, "length of a stretch without a backup")
	sizes := ""
	flag.StringVar(&sizes, "restore", "", "numbers of servers, like 1,3,5: the backup is then restored into new clusters of so many")
	flag.Parse()
	steady.Main("backup", func(ctx context.Context, out *strings.Builder) (err error) {
		if sizes != "" {
			if c.restore, err = parseSizes(sizes); err != nil {
				return err
			}
		}
		return c.In(ctx, func(f steady.Folder) error { return c.run(ctx, f, out) }, "raftcached", "raftcachectl")
	})
}

func (c config) run(ctx context.Context, f steady.Folder, out *strings.Builder) error {
	// So much log is retained that all snapshots are those of backups.
	servers, err := f.Start(ctx, "servers", c.Servers, map[string]any{"memoryLimitMiB": c.limitMiB(), "logRetainMiB": 16 * (c.SizeMiB + 256)})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }() // the processes end with this one anyway
	r := runner{config: c, servers: servers, ctl: f.Programs["raftcachectl"], file: filepath.Join(f.Dir, "items.backup")}
	if err := r.measure(ctx, out); err != nil {
		return err
	}
	slow := r.write(out)
	if len(c.restore) == 0 {
		return slow
	}
	if err := servers.Close(); err != nil { // it would take processors from those that come
		return err
	}
	return errors.Join(slow, r.restoreAll(ctx, f, c.restore, out))
}

// limitMiB is a memory limit that all items fit.
func (c config) limitMiB() int { return c.SizeMiB + c.SizeMiB/4 + 8 }

// runner measures one cluster.
type runner struct {
	config
	servers *cluster.Cluster
	ctl     string // the program
	file    string // of the backup

	quietTimes, backups []steady.Window
	snapshots           []steady.Window // while a server writes the snapshot of a backup
	samples             []steady.Sample
	memory, peak        int64 // of the largest server, before and during backups
	fileBytes           int64
	serverTime, ctlTime time.Duration // of processors, for all backups
}

func (r *runner) measure(ctx context.Context, out *strings.Builder) error {
	fmt.Fprintf(out, "%d servers with %d items of %d bytes; %d sets and %d gets a second.\n\n", len(r.servers.Servers), r.Keys(), r.ValueBytes, r.Rate, r.Rate)
	addrs := r.servers.ClientAddrs()
	if err := r.Fill(ctx, addrs); err != nil {
		return err
	}
	var pids []int
	var patterns []string
	for _, s := range r.servers.Servers {
		pids = append(pids, s.Process().Pid())
		patterns = append(patterns, filepath.Join(s.DataDir, "snap", "*.tmp"))
		m, err := footprint.ReadMemory(s.Process().Pid())
		if err != nil {
			return err
		}
		r.memory = max(r.memory, m.Bytes)
	}
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		samples []steady.Sample
		err     error
	}
	done := make(chan result, 1)
	go func() {
		samples, err := r.Load(addrs).Run(loadCtx)
		done <- result{samples, err}
	}()
	watcher := steady.Watch(ctx, patterns...)
	var failed error
	for range r.rounds {
		if failed = r.round(ctx, pids); failed != nil {
			break
		}
	}
	r.snapshots = watcher.Stop()
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
	if err := steady.Sleep(ctx, settle); err != nil {
		return err
	}
	begin, cpu := time.Now(), processorTime(pids)
	if err := steady.Sleep(ctx, r.quiet); err != nil {
		return err
	}
	r.quietTimes = append(r.quietTimes, steady.Window{From: begin, To: time.Now()})
	share := (processorTime(pids) - cpu).Seconds() / time.Since(begin).Seconds()
	if err := steady.Sleep(ctx, settle); err != nil {
		return err
	}
	watchCtx, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() {
		bytes, _ := footprint.WatchPeak(watchCtx, 50*time.Millisecond, pids...) // it ends by the context
		peak <- bytes
	}()
	begin, cpu = time.Now(), processorTime(pids)
	cmd := exec.CommandContext(ctx, r.ctl, "backup", "--force", r.file)
	cmd.Dir = filepath.Dir(r.servers.Config)
	output, err := cmd.CombinedOutput()
	r.backups = append(r.backups, steady.Window{From: begin, To: time.Now()})
	// What the load alone takes is not the backup's.
	r.serverTime += processorTime(pids) - cpu - time.Duration(share*float64(time.Since(begin)))
	r.ctlTime += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
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

// processorTime is that of all servers, without those that have ended.
func processorTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		if t, err := footprint.ReadCPU(pid); err == nil {
			sum += t
		}
	}
	return sum
}

// write prints the latencies, and how many times higher the 99th percentile is during
// a backup than in the stretch before it.
func (r *runner) write(out *strings.Builder) error {
	fmt.Fprintf(out, "| request | backup %s\n| --- | --- %s\n", steady.CellNames, steady.CellLine)
	phases := []struct {
		name string
		in   func(*steady.Sample) bool
	}{
		{"none", func(s *steady.Sample) bool { return s.Meets(r.quietTimes) }},
		{"its snapshot is written", func(s *steady.Sample) bool { return s.Meets(r.backups) && s.Meets(r.snapshots) }},
		{"it is sent", func(s *steady.Sample) bool { return s.Meets(r.backups) && !s.Meets(r.snapshots) }},
	}
	ratios := map[string]float64{}
	for i, name := range []string{"set", "get"} {
		isGet := i == 1
		for _, phase := range phases {
			fmt.Fprintf(out, "| %s | %s %s\n", name, phase.name, steady.Of(r.samples, isGet, phase.in).Cells())
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
	n := time.Duration(len(r.backups))
	fmt.Fprintf(out, "It takes %v of processor time in the servers, and %v in raftcachectl.\n", (r.serverTime / n).Round(time.Millisecond), (r.ctlTime / n).Round(time.Millisecond))
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
