package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"raftcached/internal/item"
)

// TestReadersDuringEverything reads keys that are always there while the applier
// overwrites, touches and moves them, lets the index grow and shrink around them,
// merges segments, evicts, expires and writes images: no read misses, and none
// sees bytes of two values.
func TestReadersDuringEverything(t *testing.T) {
	const kept, rounds = 200, 2
	e := newEngineOf(t, Limits{MemoryBytes: 8 << 20, ItemBytesMax: 1 << 20}, 32<<10, 64<<10)
	keys := make([][]byte, kept)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "kept-%d", i)
		one(t, e, Op{Kind: OpSet, Key: keys[i], Value: pattern(i, 0)})
		one(t, e, Op{Kind: OpSet, Key: keys[i], Value: pattern(i, 1)}) // into the main queue
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 3 {
		r := e.NewReader()
		wg.Go(func() { readKept(t, r, keys, uint64(n), stop) })
	}
	defer wg.Wait() // before the engine is closed, whatever happens
	defer close(stop)
	rng := rand.New(rand.NewPCG(7, 8))
	c := &churn{t: t, e: e, keys: keys, rng: rng}
	for range rounds {
		c.grow()
		c.shrink()
	}
	check(t, e)
}

// pattern is a value in which every byte tells which it is.
func pattern(i, version int) []byte {
	return bytes.Repeat([]byte{byte(i*31 + version)}, 20+(i*version)%9000)
}

func readKept(t *testing.T, r *Reader, keys [][]byte, seed uint64, stop chan struct{}) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for {
		select {
		case <-stop:
			return
		default:
		}
		i := rng.IntN(len(keys))
		if rng.IntN(10) == 0 {
			r.Prepare(keys[i:min(i+8, len(keys))])
		}
		r.SetNow(int64(rng.IntN(100)))
		var ok bool
		if rng.IntN(2) == 0 {
			b, ok = r.View(b[:0], keys[i], appendItemValue)
		} else {
			b, ok = r.Look(b[:0], keys[i], rng.IntN(2) == 0, appendItemValue)
		}
		if !ok {
			t.Errorf("key %q was missed", keys[i])
			return
		}
		if len(b) > 0 && bytes.Count(b, b[:1]) != len(b) {
			t.Errorf("key %q has bytes of two values", keys[i])
			return
		}
	}
}

// churn changes everything around the kept keys.
type churn struct {
	t       *testing.T
	e       *Engine
	keys    [][]byte
	rng     *rand.Rand
	version int
	image   *Image
	buf     []byte
	now     int64
}

func (c *churn) grow() {
	for i := range 12_000 {
		one(c.t, c.e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "other-%d", i), Value: make([]byte, c.rng.IntN(60)), Exptime: int64(c.rng.IntN(4))})
		c.step()
	}
}

func (c *churn) shrink() {
	for i := range 12_000 {
		one(c.t, c.e, Op{Kind: OpDelete, Key: fmt.Appendf(nil, "other-%d", i)})
		c.step()
	}
}

// step changes a kept key now and then, and goes on with an image.
func (c *churn) step() {
	c.now++
	if c.now%10 == 0 {
		c.e.Advance(testStart + 20*c.now)
	}
	i := c.rng.IntN(len(c.keys))
	switch c.rng.IntN(24) {
	case 0:
		c.version++
		one(c.t, c.e, Op{Kind: OpSet, Key: c.keys[i], Value: pattern(i, c.version)})
	case 1:
		one(c.t, c.e, Op{Kind: OpTouch, Key: c.keys[i]})
	case 2:
		c.e.Hint(hashOf(c.keys[i]))
	case 3:
		if c.image == nil {
			c.image = c.e.Image()
		}
		var more bool
		var err error
		if c.buf, more, err = c.image.Next(c.buf[:0]); err != nil || !more {
			c.image = nil
		}
	case 4:
		c.e.Tidy()
	case 5:
		one(c.t, c.e, Op{Kind: OpDelete, Key: c.keys[i], Fields: item.Invalidate})
	case 6:
		one(c.t, c.e, Op{Kind: OpMetaGet, Key: c.keys[i]})
	}
}
