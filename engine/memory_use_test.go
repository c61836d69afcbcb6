package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// useConstant is what an engine takes besides its limit and 15 %: open segments,
// and granules that wait to be used again.
const useConstant = 2 << 20

// memoryUse is the memory that an engine has taken from the system: granules in
// use or kept for use, the index, the ghosts.
func memoryUse(e *Engine) int64 {
	usage := e.st.Usage()
	return usage.AllocatedBytes + usage.IdleBytes + int64(len(e.ghosts.mem))
}

// aside is a client that gets a key and sets it if it misses.
type aside struct {
	e    *Engine
	r    *Reader
	zipf *rand.Zipf
	buf  []byte
}

func newAside(e *Engine, keys uint64) *aside {
	return &aside{e: e, r: e.NewReader(), zipf: rand.NewZipf(rand.New(rand.NewPCG(3, 4)), 1.1, 1, keys-1)}
}

// run does requests until so many bytes were stored, and returns the hit ratio.
func (a *aside) run(t *testing.T, prefix string, value []byte, storeBytes int) float64 {
	t.Helper()
	hits, n := 0, 0
	for stored := 0; stored < storeBytes; n++ {
		key := fmt.Appendf(nil, "%s-%d", prefix, a.zipf.Uint64())
		var ok bool
		if a.buf, ok = a.r.View(a.buf[:0], key, appendItemValue); ok {
			hits++
			continue
		}
		one(t, a.e, Op{Kind: OpSet, Key: key, Value: value})
		stored += len(value)
		if n%100 == 0 {
			a.e.Hint(a.r.TakeHints(nil))
		}
		if use, most := memoryUse(a.e), a.e.limits.MemoryBytes*115/100+useConstant; use > most {
			t.Fatalf("%d bytes in use, want at most %d", use, most)
		}
	}
	return float64(hits) / float64(n)
}

// TestOtherSizesFindRoom fills a cache with small values and goes on with large
// ones, and the other way round. With size classes that own their memory the new
// size would be left with the little that the old one leaves it for ever ("slab
// calcification"): here the hit ratio comes close to that of a new cache within
// one turnover, as the old items leave.
func TestOtherSizesFindRoom(t *testing.T) {
	skipUnderRace(t)
	const memory = 4 << 20
	limits := Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20}
	for _, size := range [][2]int{{100, 4 << 10}, {4 << 10, 100}} {
		e, fresh := newEngine(t, limits), newEngine(t, limits)
		value := make([]byte, size[1])
		used, unused := newAside(e, 50_000), newAside(fresh, 50_000)
		used.run(t, "before", make([]byte, size[0]), 2*memory)
		used.run(t, "after", value, memory)
		unused.run(t, "after", value, memory)
		got, want := used.run(t, "after", value, memory), unused.run(t, "after", value, memory)
		t.Logf("from %d to %d bytes: hit ratio %.3f, of a new cache %.3f", size[0], size[1], got, want)
		if got < 0.93*want {
			t.Errorf("from %d to %d bytes: hit ratio %.3f, of a new cache %.3f", size[0], size[1], got, want)
		}
	}
}

// TestMemoryStaysInBounds overwrites, deletes and lets expire items of all sizes
// at random: what dies in between what lives does not pile up.
func TestMemoryStaysInBounds(t *testing.T) {
	skipUnderRace(t)
	for _, limit := range []int64{8 << 20, 64 << 20} {
		e := newEngine(t, Limits{MemoryBytes: limit, ItemBytesMax: 1 << 20})
		rng := rand.New(rand.NewPCG(5, 6))
		value := make([]byte, 512<<10)
		most, stored := int64(0), int64(0)
		for n := 0; stored < 6*limit; n++ {
			size := rng.IntN(4000)
			if rng.IntN(2000) == 0 {
				size = rng.IntN(len(value))
			}
			op := Op{Kind: OpSet, Key: fmt.Appendf(nil, "key-%d", rng.IntN(int(limit/500))), Value: value[:size]}
			switch rng.IntN(10) {
			case 0, 1:
				op.Kind, op.Value = OpDelete, nil
			case 2:
				op.Exptime = 1 + rng.Int64N(10)
			case 3:
				op.Kind = OpTouch
			}
			one(t, e, op)
			stored += int64(len(op.Value))
			if n%50 == 0 {
				e.Advance(testStart + int64(n))
			}
			most = max(most, memoryUse(e))
		}
		check(t, e)
		t.Logf("limit %d: at most %d in use (%.3f)", limit, most, float64(most)/float64(limit))
		if most > limit*115/100+useConstant {
			t.Errorf("limit %d: %d in use, want at most %d", limit, most, limit*115/100+useConstant)
		}
	}
}

// TestOneSizeStaysInBounds fills caches with items of one size, of which a segment
// has room for few: what is left of it, or rounds it up to granules, would be up
// to half as much as they take.
func TestOneSizeStaysInBounds(t *testing.T) {
	skipUnderRace(t)
	value := make([]byte, 65<<10)
	for _, limit := range []int64{8 << 20, 16 << 20, 32 << 20} {
		for _, size := range []int{17 << 10, 33 << 10, 49 << 10, 65 << 10} {
			e := newEngine(t, Limits{MemoryBytes: limit, ItemBytesMax: 1 << 20})
			for n := range int(2*limit) / size {
				one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n), Value: value[:size]})
				if n%3 == 0 {
					one(t, e, Op{Kind: OpDelete, Key: fmt.Appendf(nil, "k%d", n/2)})
				}
				if use := memoryUse(e); use > limit*115/100+useConstant {
					t.Fatalf("limit %d, items of %d: %d bytes in use, want at most %d", limit, size, use, limit*115/100+useConstant)
				}
			}
		}
	}
}
