package engine

import (
	"fmt"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// TestMemoryLimitChanges lowers and raises the limit on engines of different
// layout: items go with the entries that follow, a bounded number with each, the
// same on all; an image takes the limit along.
func TestMemoryLimitChanges(t *testing.T) {
	skipUnderRace(t)
	limits := Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20}
	e, twin := newEngine(t, limits), newEngineOf(t, limits, 16<<10, 0)
	both := func(op Op, want item.Status) {
		t.Helper()
		for _, x := range []*Engine{e, twin} {
			if r := one(t, x, op); r.Status != want {
				t.Fatalf("status %d, want %d", r.Status, want)
			}
		}
	}
	for i := range 60_000 {
		both(Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 900)}, item.StatusStored)
	}
	both(Op{Kind: OpMemoryLimit, Delta: memoryLimitMin - 1}, item.StatusTooSmall)
	both(Op{Kind: OpMemoryLimit, Delta: uint64(store.LimitMax(limits.MemoryBytes)) + 1}, item.StatusOutOfBounds)
	both(Op{Kind: OpMemoryLimit, Delta: 8 << 20}, item.StatusOK)
	for n := 0; e.NextDueMs() <= e.TimeMs(); n++ {
		before := e.Stats().CurrItems
		e.Advance(testStart + int64(n))
		twin.Advance(testStart + int64(n))
		if gone := before - e.Stats().CurrItems; gone > shrinkPerEntry || n > 30 {
			t.Fatalf("entry %d evicts %d items", n, gone)
		}
		both(Op{Kind: OpSet, Key: []byte("new"), Value: make([]byte, 900)}, item.StatusStored)
	}
	if s := e.Stats(); s.Bytes > 8<<20 || s.Bytes < 7<<20 || s.LimitMaxBytes != 8<<20 {
		t.Fatalf("with the lower limit: %+v", s)
	}
	if use := memoryUse(e); use > 20<<20 {
		t.Errorf("%d bytes in use", use)
	}
	both(Op{Kind: OpMemoryLimit, Delta: 512 << 20}, item.StatusOK)
	again := newEngine(t, testLimits)
	if err := again.Restore(imageReaderOf(t, e)); err != nil || digest(again) != digest(twin) || digest(e) != digest(twin) {
		t.Fatalf("restored: %v, digests %x, %x, %x", err, digest(again), digest(e), digest(twin))
	}
	check(t, e)
	check(t, twin)
}

// TestFormation puts the limits into the log: the first one counts, on nodes that
// were started with others too.
func TestFormation(t *testing.T) {
	e, other := newEngine(t, Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20}), newEngine(t, testLimits)
	first, second := e.Formation(), other.Formation()
	for _, x := range []*Engine{e, other} {
		for _, op := range [][]byte{first, second} {
			x.Apply(1, op, false)
		}
		one(t, x, Op{Kind: OpSet, Key: []byte("k"), Value: make([]byte, 900<<10)})
		if x.Formation() != nil || x.Stats().LimitMaxBytes != 64<<20 || x.Stats().CurrItems != 1 {
			t.Fatalf("after the formation: %+v", x.Stats())
		}
	}
	if digest(e) != digest(other) {
		t.Fatal("digests differ")
	}
}

// TestFormationBoundsMemory overwrites most of what fills the cache of a cluster
// on a node that was started with a much higher limit: what dies is not left
// lying about until it is a part of that one.
func TestFormationBoundsMemory(t *testing.T) {
	skipUnderRace(t)
	const memory = 8 << 20
	e := newEngine(t, Limits{MemoryBytes: 1 << 30, ItemBytesMax: 1 << 20})
	e.Apply(1, newEngine(t, Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20}).Formation(), false)
	for n := range 50_000 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "%d-%d", n%20, n%20*(n/20%700)), Value: make([]byte, 700)})
		if use := memoryUse(e); use > memory*115/100+useConstant {
			t.Fatalf("%d bytes in use, want at most %d", use, memory*115/100+useConstant)
		}
	}
}
