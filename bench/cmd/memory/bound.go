//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/bench/footprint"
)

// sampleInterval is the pause between two samples of a server's memory.
const sampleInterval = 200 * time.Millisecond

// bounds measures every load at every limit, each with a new server. After an error
// it still writes what was measured before.
func (b *bench) bounds(ctx context.Context, out io.Writer) error {
	rows, failed := b.boundRows(ctx)
	_, err := fmt.Fprintf(out, "\n## RSS under load\n\n"+
		"A lone raftcached, %d connections, up to %d requests at a time; each load until the cache evicts and then for %v.\n"+
		"Max is the highest of samples every %v, peak what the system counted. Items (with their index) and other (Go's heap\n"+
		"and stacks) are those at the end.\n\n",
		b.conns, b.depth, b.duration, sampleInterval)
	return errors.Join(failed, err, footprint.WriteBounds(out, rows))
}

func (b *bench) boundRows(ctx context.Context) (rows []footprint.BoundRow, err error) {
	for _, limitMiB := range b.limitsMiB {
		for _, load := range footprint.Loads() {
			say("%d MiB, load %q", limitMiB, load.Name)
			row, err := b.bound(ctx, limitMiB, load)
			if err != nil {
				return rows, fmt.Errorf("load %q, %d MiB: %w", load.Name, limitMiB, err)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// bound puts one load on a new server and watches its memory.
func (b *bench) bound(ctx context.Context, limitMiB int, load footprint.Load) (row footprint.BoundRow, err error) {
	s, err := b.startRaftcached(ctx, 1, limitMiB)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	row = footprint.BoundRow{LimitBytes: int64(limitMiB) << 20, Load: load.Name}
	if err := s.warmUp(ctx); err != nil {
		return row, err
	}
	empty, err := s.read()
	if err != nil {
		return row, err
	}
	row.EmptyBytes = empty.Bytes
	if err := b.drive(ctx, s, load, &row); err != nil {
		return row, err
	}
	memory, err := footprint.ReadMemory(s.pids[0])
	if err != nil {
		return row, err
	}
	row.PeakBytes = memory.PeakBytes
	row.Where, err = footprint.ReadWhere(s.pids[0])
	return row, err
}

// drive puts the load on the server until it evicts, and then for the duration,
// while its memory is watched.
func (b *bench) drive(ctx context.Context, s *server, load footprint.Load, row *footprint.BoundRow) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	clock := &phase{duration: b.duration}
	pressure := footprint.Pressure{Addrs: s.addrs, Conns: b.conns, Depth: b.depth, LimitBytes: row.LimitBytes, Seed: 1}
	var driveErr, watchErr, fullErr error
	var wait sync.WaitGroup
	wait.Go(func() {
		defer stop()
		row.Answers, driveErr = footprint.Drive(ctx, load, pressure, clock.progress)
	})
	wait.Go(func() {
		defer stop()
		row.MaxBytes, watchErr = footprint.WatchPeak(ctx, sampleInterval, s.pids...)
	})
	row.FullAfter, fullErr = b.awaitFull(ctx, s)
	clock.begin()
	if fullErr == nil {
		select {
		case <-time.After(b.duration):
		case <-ctx.Done():
		}
	}
	stop()
	wait.Wait()
	if row.Answers.Errors > 0 {
		say("%d of %d requests were answered with errors, the first with %q",
			row.Answers.Errors, row.Answers.Requests, row.Answers.FirstError)
	}
	return errors.Join(driveErr, watchErr, fullErr)
}

// awaitFull waits until the server evicts and returns how long that took, 0 if it
// did not within the time for it.
func (b *bench) awaitFull(ctx context.Context, s *server) (time.Duration, error) {
	start := time.Now()
	for {
		evictions, err := s.stat(ctx, "evictions")
		switch {
		case ctx.Err() != nil:
			return 0, nil // the caller that ended it reports why
		case err != nil:
			return 0, err
		case evictions > 0:
			return time.Since(start), nil
		case time.Since(start) >= b.fillTimeout:
			return 0, nil
		}
		select {
		case <-time.After(sampleInterval):
		case <-ctx.Done():
		}
	}
}

// phase is how much of a measurement is over. Its methods may be called from several
// goroutines.
type phase struct {
	duration time.Duration
	began    atomic.Pointer[time.Time]
}

func (p *phase) begin() {
	now := time.Now()
	p.began.Store(&now)
}

// progress returns 0 before it began, and 0 to 1 from then on.
func (p *phase) progress() float64 {
	began := p.began.Load()
	if began == nil {
		return 0
	}
	return math.Min(1, float64(time.Since(*began))/float64(p.duration))
}
