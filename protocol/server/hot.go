package server

import (
	"sync"
	"time"

	"raftcached/internal/measure"
)

// hotPause is how long samples gather before they are counted: as long as those of the
// fastest loop fit its ring.
const hotPause = 20 * time.Millisecond

// hotKeys counts the keys that loops have sampled, on a goroutine that sleeps while nobody
// asks for any.
type hotKeys struct {
	counts *measure.HotKeys
	rings  []*measure.Ring
	clock  func() time.Duration
	woken  chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
}

func newHotKeys(clock func() time.Duration) *hotKeys {
	return &hotKeys{
		counts: measure.NewHotKeys(clock()), clock: clock,
		woken: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// wake tells that a ring has samples. Any goroutine may call it.
func (h *hotKeys) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

func (h *hotKeys) run() {
	for {
		select {
		case <-h.stop:
			return
		case <-h.woken:
		}
		for more := true; more; {
			select {
			case <-h.stop:
				return
			case <-time.After(hotPause):
			}
			more = h.counts.Add(h.clock(), h.rings...) > 0
		}
	}
}

func (h *hotKeys) close() {
	close(h.stop)
	h.done.Wait()
}
