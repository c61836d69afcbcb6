//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	load "raftcached/bench"
	"raftcached/bench/footprint"
)

// gcValueBytes is the length of values while the collector is watched.
const gcValueBytes = 100

// gc measures what the collector of a full server does under a mixed load.
func (b *bench) gc(ctx context.Context, out io.Writer) (err error) {
	s, err := b.startRaftcached(ctx, 1, memoryMiB(b.gcItems, gcValueBytes), "GODEBUG=gctrace=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	w := b.workload(b.gcItems, gcValueBytes)
	say("gc: loading %d items of %d bytes", w.Keys, w.ValueBytes)
	if err := b.fill(ctx, s, w); err != nil {
		return err
	}
	say("gc: mixed load for %v", b.gcDuration)
	row, err := b.watchCollector(ctx, s, w)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n## Garbage collector\n\n"+
		"A lone raftcached; 90 %% gets, 10 %% sets, zipf %.2f, %d connections, %d requests at a time. What the collector took\n"+
		"of all %d cores' time, what of that they had nothing else to do with, and all in ratio to the time that the process\n"+
		"used. The pauses are the longest of each kind.\n\n", w.Theta, w.Conns, w.Depth, runtime.NumCPU())
	return errors.Join(err, footprint.WriteGC(out, row))
}

// watchCollector drives a server for a time and returns what its collector did
// meanwhile. A cycle that was running at the beginning counts.
func (b *bench) watchCollector(ctx context.Context, s *server, w load.Workload) (row footprint.GCRow, err error) {
	before, err := readCycles(s.logFile)
	if err != nil {
		return row, err
	}
	last := 0
	if len(before) > 0 {
		last = before[len(before)-1].Number
	}
	cpuBefore, err := footprint.ReadCPU(s.pids[0])
	if err != nil {
		return row, err
	}
	start := time.Now()
	result, err := load.Measure(ctx, load.Target{Name: s.name, Addrs: s.addrs}, w, b.gcDuration)
	if err != nil {
		return row, err
	}
	if result.Errors > 0 {
		say("gc: %d of %d requests were answered with errors, the first with %q", result.Errors, result.Ops, result.FirstError)
	}
	span := time.Since(start)
	cpuAfter, err := footprint.ReadCPU(s.pids[0])
	if err != nil {
		return row, err
	}
	after, err := readCycles(s.logFile)
	if err != nil {
		return row, err
	}
	procs := runtime.NumCPU() // the server's GOMAXPROCS, if it had no collection
	if len(after) > 0 {
		procs = after[len(after)-1].Procs
	}
	return footprint.GCRow{
		Items: w.Keys, ValueBytes: w.ValueBytes, Rate: result.Rate(), Span: span, ProcessCPU: cpuAfter - cpuBefore,
		Collections: footprint.Collect(after, last, span, procs),
	}, nil
}

// readCycles reads the collections in a server's log.
func readCycles(logFile string) ([]footprint.Cycle, error) {
	file, err := os.Open(logFile)
	if err != nil {
		return nil, fmt.Errorf("read gctrace: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	return footprint.ReadCycles(file)
}
