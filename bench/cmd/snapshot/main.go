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
	"path/filepath"
	"strings"
	"time"

	"raftcached/bench/footprint"
	"raftcached/bench/steady"
	"raftcached/internal/cluster"
)

type config struct {
	steady.Setup
	duration time.Duration
}

func main() {
	c := config{Setup: steady.Setup{Rate: 8000, Conns: 256, Servers: 1}}
	c.AddFlags(flag.CommandLine)
	flag.DurationVar(&c.duration, "duration", 2*time.Minute, "how long the load lasts; it is on the first server")
	flag.Parse()
	steady.Main("snapshot", func(ctx context.Context, out *strings.Builder) error {
		return c.In(ctx, func(f steady.Folder) error { return c.run(ctx, f, out) }, "raftcached")
	})
}

func (c *config) run(ctx context.Context, f steady.Folder, out *strings.Builder) error {
	// Snapshots come after half of the size of the state in the log.
	servers, err := f.Start(ctx, "servers", c.Servers, map[string]any{"memoryLimitMiB": c.SizeMiB + c.SizeMiB/8, "logRetainMiB": 64})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }() // the processes end with this one anyway
	return c.measure(ctx, servers.Servers[0], out)
}

func (c *config) measure(ctx context.Context, s *cluster.Server, out *strings.Builder) error {
	folder := filepath.Join(s.DataDir, "snap")
	fmt.Fprintf(out, "%d items of %d bytes; %d sets and %d gets a second for %v.\n\n", c.Keys(), c.ValueBytes, c.Rate, c.Rate, c.duration)
	addrs := []string{s.ClientAddr}
	if err := c.Fill(ctx, addrs); err != nil {
		return err
	}
	if err := awaitNoSnapshot(ctx, folder); err != nil {
		return err
	}
	pid := s.Process().Pid()
	before, err := footprint.ReadMemory(pid)
	if err != nil {
		return err
	}
	loadCtx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	peak := make(chan int64, 1)
	go func() {
		bytes, _ := footprint.WatchPeak(loadCtx, 50*time.Millisecond, pid) // it ends by the context
		peak <- bytes
	}()
	w := steady.Watch(ctx, filepath.Join(folder, unfinished))
	samples, err := c.Load(addrs).Run(loadCtx)
	cancel()
	windows := w.Stop()
	if err != nil {
		return err
	}
	writeLatencies(out, samples, windows)
	fmt.Fprintf(out, "\nMemory of the server: %d MiB before, at most %d MiB during the load.\n", before.Bytes>>20, <-peak>>20)
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
	ctx, cancel := context.WithTimeout(ctx, steady.StartTimeout)
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
