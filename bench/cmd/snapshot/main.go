//go:build linux

// Command snapshot measures how snapshots affect clients: the latency of sets and gets
// at a steady rate, with and without a snapshot being written, the server's memory,
// and how long a restart with that state takes.
//
//	go run ./bench/cmd/snapshot -size 4096
//
// The load is an open loop: requests are due at fixed times, whether or not earlier ones
// were answered. Latency is measured from when a request was due.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/bench/footprint"
	"raftcached/bench/steady"
	"raftcached/internal/cluster"
)

// startTimeout bounds the start of the servers; with a state it takes a while.
const startTimeout = 5 * time.Minute

// keyBytes is the length of keys.
const keyBytes = 32

type config struct {
	sizeMiB, valueBytes, rate, conns, servers int
	duration                                  time.Duration
	dir                                       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var c config
	flag.IntVar(&c.sizeMiB, "size", 1024, "MiB of items")
	flag.IntVar(&c.valueBytes, "value", 1024, "bytes of a value")
	flag.IntVar(&c.rate, "rate", 8000, "sets a second, and as many gets")
	flag.IntVar(&c.conns, "conns", 256, "connections, half of them for sets")
	flag.IntVar(&c.servers, "servers", 1, "servers; clients talk to the first, snapshots are those of the first")
	flag.DurationVar(&c.duration, "duration", 2*time.Minute, "how long the load lasts")
	flag.StringVar(&c.dir, "dir", "", "folder for the servers' data; it needs five times -size")
	flag.Parse()
	var out strings.Builder
	err := run(ctx, c, &out)
	fmt.Print(out.String())
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out *strings.Builder) error {
	dir, err := os.MkdirTemp(c.dir, "snapshot")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system cleans its folder
	executable, err := cluster.Build(ctx, dir, "./cmd/raftcached")
	if err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	servers, err := cluster.Start(startCtx, cluster.Options{
		Executable: executable, Dir: dir, Servers: c.servers,
		// Snapshots come after half of the size of the state in the log.
		Settings: map[string]any{"memoryLimitMiB": c.sizeMiB + c.sizeMiB/8, "logRetainMiB": 64},
	})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }() // the processes end with this one anyway
	return measure(ctx, c, servers.Servers[0], out)
}

func measure(ctx context.Context, c config, s *cluster.Server, out *strings.Builder) error {
	folder := filepath.Join(s.DataDir, "snap")
	keys := c.sizeMiB << 20 / (c.valueBytes + keyBytes)
	fmt.Fprintf(out, "%d items of %d bytes; %d sets and %d gets a second for %v.\n\n", keys, c.valueBytes, c.rate, c.rate, c.duration)
	fill := bench.DefaultWorkload
	fill.Keys, fill.KeyBytes, fill.ValueBytes = keys, keyBytes, c.valueBytes
	if err := bench.Fill(ctx, bench.Target{Name: "raftcached", Addrs: []string{s.ClientAddr}}, fill); err != nil {
		return err
	}
	if err := awaitNoSnapshot(ctx, folder); err != nil {
		return err
	}
	before, err := footprint.ReadMemory(s.Process().Pid())
	if err != nil {
		return err
	}
	w := watch(ctx, folder, s.Process().Pid())
	load := steady.Load{Addrs: []string{s.ClientAddr}, Rate: c.rate, Conns: c.conns, Keys: keys, KeyBytes: keyBytes, ValueBytes: c.valueBytes}
	loadCtx, cancel := context.WithTimeout(ctx, c.duration)
	samples, err := load.Run(loadCtx)
	cancel()
	windows := w.stop()
	if err != nil {
		return err
	}
	writeLatencies(out, samples, windows)
	fmt.Fprintf(out, "\nMemory of the server: %d MiB before, at most %d MiB during snapshots.\n",
		before.Bytes>>20, w.memoryMax>>20)
	if err := awaitNoSnapshot(ctx, folder); err != nil {
		return err
	}
	return restart(ctx, s, folder, out)
}

// writeLatencies prints the latencies of requests during snapshots, and of the others.
func writeLatencies(out *strings.Builder, samples []steady.Sample, windows []steady.Window) {
	total := time.Duration(0)
	for _, w := range windows {
		total += w.To.Sub(w.From)
	}
	fmt.Fprintf(out, "%d snapshots, %v in all.\n\n", len(windows), total.Round(time.Millisecond))
	fmt.Fprintf(out, "| request | snapshot %s\n| --- | --- %s\n", steady.CellNames, steady.CellLine)
	for i, name := range []string{"set", "get"} {
		for _, during := range []bool{false, true} {
			when := map[bool]string{false: "none", true: "being written"}[during]
			l := steady.Of(samples, i == 1, func(s *steady.Sample) bool { return s.Meets(windows) == during })
			fmt.Fprintf(out, "| %s | %s %s\n", name, when, l.Cells())
		}
	}
}

// restart stops the server, drops its files from the page cache, and measures how long
// it takes to serve again.
func restart(ctx context.Context, s *cluster.Server, folder string, out *strings.Builder) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := forgetFiles(s.DataDir); err != nil {
		return err
	}
	newest, size, err := newestFile(folder)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := readAll(newest); err != nil {
		return err
	}
	reading := time.Since(start)
	if err := forgetFiles(s.DataDir); err != nil {
		return err
	}
	logBytes, err := folderBytes(filepath.Join(s.DataDir, "wal"))
	if err != nil {
		return err
	}
	start = time.Now()
	if err := s.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.AwaitReady(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(out, "\nRestart from a snapshot of %d MiB and a log of %d MiB, neither in memory: %v, %.0f MiB/s. "+
		"Reading the snapshot's file alone: %v, %.0f MiB/s.\n",
		size>>20, logBytes>>20, took.Round(time.Millisecond), mibPerSecond(size+logBytes, took),
		reading.Round(time.Millisecond), mibPerSecond(size, reading))
	return nil
}

func mibPerSecond(bytes int64, d time.Duration) float64 {
	return float64(bytes) / (1 << 20) / d.Seconds()
}
