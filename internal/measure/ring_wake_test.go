package measure

import (
	"sync"
	"testing"
)

// TestNoWakeOfARingIsLost: who drains the ring sleeps when it has found nothing, and only Put
// wakes it. If Put looked for the emptiness before its key is there, a sample could stay, and
// with it all that follow, as the ring is never empty again.
func TestNoWakeOfARingIsLost(t *testing.T) {
	const puts = 300_000
	var (
		r     Ring
		woken = make(chan struct{}, 1)
		group sync.WaitGroup
		taken float64
	)
	group.Go(func() {
		for range woken {
			for r.Drain(func(_ []byte, _ bool, n float64) { taken += n }) > 0 {
			}
		}
	})
	key := []byte("key")
	for range puts {
		if r.Put(key, false) {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}
	close(woken)
	group.Wait()
	if left := r.head.Load() - r.tail.Load(); left > 0 {
		t.Errorf("%d samples are left, and nobody was woken for them; %v were taken", left, taken)
	}
}
