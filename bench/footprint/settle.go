//go:build linux

package footprint

import (
	"context"
	"fmt"
	"time"
)

// Memory counts as settled if it changes by at most settledShare, or settledBytes if
// that is more: an idle Go program still allocates a little.
const (
	settledShare = 0.005
	settledBytes = 1 << 20
)

// settlePolls is how many readings are made in a quiet time.
const settlePolls = 10

// Reading is one observation of a server that should settle.
type Reading struct {
	Bytes int64  // resident
	Mark  string // must not change either; for example the names of its files
}

// Settle reads until the memory has stayed close to a reading, and the mark equal, for
// the quiet time. It returns the last reading.
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

// WatchPeak reads the memory of processes at an interval until the context ends, and
// returns the maximum of any of them.
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
