package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestScanMeetsEachItemOnce scans while the index grows and shrinks, items are stored
// again, moved and unlinked: what is there all the while is met exactly once. It runs
// in turns with the changes, and beside them.
func TestScanMeetsEachItemOnce(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c, s := newStore(t)
			ch := &changes{s: s, rng: rand.New(rand.NewPCG(seed, 0)), top: 3000}
			for i := range 500 {
				set(s, QueueSmall, fmt.Sprint("stays", i), "0")
			}
			r := c.NewReader()
			if seed%2 == 0 {
				for range 3 {
					scanOnce(t, &r, func() { ch.make(1 + ch.rng.IntN(60)) })
				}
				return
			}
			stop := make(chan struct{})
			var applier sync.WaitGroup
			applier.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						ch.make(100)
						s.Free()
					}
				}
			})
			for range 10 {
				scanOnce(t, &r, func() {})
			}
			close(stop)
			applier.Wait()
		})
	}
}

// changes make the store grow up to top items, and shrink again.
type changes struct {
	s       *Store
	rng     *rand.Rand
	n, top  int
	shrinks bool
}

func (c *changes) make(n int) {
	for range n {
		switch what := c.rng.IntN(8); {
		case what == 0:
			set(c.s, QueueMain, fmt.Sprint("stays", c.rng.IntN(500)), "again")
		case what == 1:
			key := []byte(fmt.Sprint("stays", c.rng.IntN(500)))
			c.s.Move(Seed(7).Hash(key), c.s.Find(key).Handle(), c.rng.IntN(QueueCount), 1)
		case c.shrinks:
			key := []byte(fmt.Sprint("goes", c.n-1))
			c.s.Unlink(Seed(7).Hash(key), c.s.Find(key).Handle())
			c.n--
			c.shrinks = c.n > 0
		default:
			set(c.s, QueueSmall, fmt.Sprint("goes", c.n), "0")
			c.n++
			c.shrinks = c.n == c.top
		}
	}
}

func scanOnce(t *testing.T, r *Reader, between func()) {
	t.Helper()
	met := map[string]int{}
	var handles []Handle
	for at, more := uint64(0), true; more; {
		s := r.Enter()
		at, more, handles = s.Scan(at, handles, func(r Ref) {
			if key := string(r.Key()); strings.HasPrefix(key, "stays") {
				met[key]++
			}
		})
		r.Leave()
		between()
	}
	for i := range 500 {
		if key := fmt.Sprint("stays", i); met[key] != 1 {
			t.Fatalf("%s was met %d times", key, met[key])
		}
	}
}
