package tuning

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// awaitProcessors waits until as many processors are allowed.
func awaitProcessors(t *testing.T, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); runtime.GOMAXPROCS(0) != want; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d processors are allowed after thirty seconds, want %d", runtime.GOMAXPROCS(0), want)
		}
	}
}

// TestGovern governs the test's own process: nothing to do, then more goroutines that
// compute than one processor can run.
func TestGovern(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	governProcessors()
	awaitProcessors(t, 1)
	var stop atomic.Bool
	var spins atomic.Uint64
	for range 4 {
		go func() {
			for !stop.Load() {
				spins.Add(1)
			}
		}()
	}
	awaitProcessors(t, 2)
	stop.Store(true)
	awaitProcessors(t, 1)
}

// TestGovernLeavesTheOperatorsChoice: GOMAXPROCS in the environment is not changed.
func TestGovernLeavesTheOperatorsChoice(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	before := runtime.NumGoroutine()
	governProcessors()
	if n := runtime.NumGoroutine(); n != before {
		t.Errorf("%d goroutines were started", n-before)
	}
}
