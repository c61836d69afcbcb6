//go:build linux

package footprint

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestSettle: memory that shrinks slowly, then files that still change, and only
// then a quiet minute.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r, err := Settle(t.Context(), time.Minute, func() (Reading, error) {
			switch age := time.Since(start); {
			case age < 90*time.Second: // 1 % each 10 s: too much for a minute
				return Reading{Bytes: 2<<30 - int64(age/time.Second)<<21}, nil
			case age < 2*time.Minute:
				return Reading{Bytes: 2 << 30, Mark: "a.tmp"}, nil
			default: // it may sway a little
				return Reading{Bytes: 2<<30 + int64(age/time.Second)%10<<20, Mark: "a.snap"}, nil
			}
		})
		if err != nil || r.Mark != "a.snap" {
			t.Errorf("settled at %+v, %v", r, err)
		}
		if took := time.Since(start); took < 3*time.Minute || took > 200*time.Second {
			t.Errorf("settled after %v, want a minute after the second", took)
		}
	})
}

func TestSettleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var bytes int64 = 1
		_, err := Settle(ctx, time.Minute, func() (Reading, error) {
			bytes = settledBytes + 3 - bytes
			return Reading{Bytes: bytes}, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want that of the context", err)
		}
		gone := errors.New("gone")
		if _, err := Settle(t.Context(), time.Minute, func() (Reading, error) { return Reading{}, gone }); !errors.Is(err, gone) {
			t.Errorf("error is %v, want that of the reading", err)
		}
	})
}

// TestSettleSmall: a small program may grow by more than a share of its memory,
// as long as it is less than a MiB.
func TestSettleSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Settle(t.Context(), time.Minute, func() (Reading, error) {
			return Reading{Bytes: 10<<20 + int64(time.Since(start)/time.Second)<<13}, nil
		})
		if took := time.Since(start); err != nil || took != time.Minute {
			t.Errorf("settled after %v, %v", took, err)
		}
	})
}

// TestWatchPeak looks at least once, however soon it ends, and tells of a process
// that is not there.
func TestWatchPeak(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if peak, err := WatchPeak(ctx, time.Hour, os.Getpid()); err != nil || peak <= 0 {
		t.Errorf("peak is %d, %v", peak, err)
	}
	const noPid = 1<<22 + 1 // above what Linux gives out
	if _, err := WatchPeak(t.Context(), time.Hour, noPid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want that there is no such process", err)
	}
}
