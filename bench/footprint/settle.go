//go:build linux

package footprint

import (
	"context"
	"fmt"
	"time"
)

// Memory that moves no further than settledShare, or settledBytes if that is more,
// counts as settled: an idle Go program still allocates a little.
const (
	settledShare = 0.005
	settledBytes = 1 << 20
)

// settlePolls is how often a quiet time is looked at.
const settlePolls = 10

// Reading is one look at a server that is to settle.
type Reading struct {
	Bytes int64  // resident
	Mark  string // of what must not change besides, like the names of its files
}

// Settle reads until the memory has stayed near a reading, and the mark the same,
// for the quiet time, and returns the last reading.
func Settle(ctx context.Context, quiet time.Duration, read func() (Reading, error)) (Reading, error) {
	var first Reading
	var since time.Time
	for {
		next, err := read()
		if err != nil {
			return next, err
		}
		moved := float64(max(next.Bytes-first.Bytes, first.Bytes-next.Bytes))
		switch {
		case since.IsZero(), next.Mark != first.Mark, moved > max(settledBytes, settledShare*float64(first.Bytes)):
			first, since = next, time.Now()
		case time.Since(since) >= quiet:
			return next, nil
		}
		select {
		case <-time.After(quiet / settlePolls):
		case <-ctx.Done():
			return next, fmt.Errorf("wait for memory to settle at %d bytes: %w", next.Bytes, ctx.Err())
		}
	}
}

// WatchPeak reads the memory of processes at an interval until the context ends,
// and returns the most that one of them had.
func WatchPeak(ctx context.Context, interval time.Duration, pids ...int) (peakBytes int64, err error) {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		for _, pid := range pids {
			m, err := ReadMemory(pid)
			if err != nil {
				return peakBytes, err
			}
			peakBytes = max(peakBytes, m.Bytes)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return peakBytes, nil
		}
	}
}
