package engine

import (
	"fmt"
	"testing"
)

// TestFlushesOfLittleReplaceNothing flushes again and again with one item stored
// in between. To reserve the addresses of a store for each would take a minute
// for 300 KB of the log.
func TestFlushesOfLittleReplaceNothing(t *testing.T) {
	e, twin := newEngine(t, testLimits), newEngine(t, testLimits)
	e.Advance(testStart)
	twin.Advance(testStart)
	st := e.st
	const flushes = 20_000
	var ops []byte
	for n := range flushes {
		ops = AppendOp(ops, &Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n%3), Exptime: int64(n % 2)})
		ops = AppendOp(ops, &Op{Kind: OpFlushAll})
	}
	ops = AppendOp(ops, &Op{Kind: OpSet, Key: []byte("k")})
	e.Apply(2*flushes+1, ops, false)
	if e.st != st {
		t.Fatal("the store was replaced")
	}
	check(t, e)
	for n := range clearedMax + 1 {
		one(t, twin, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n)})
	}
	one(t, twin, Op{Kind: OpFlushAll})
	if twin.st.Linked() != 0 || twin.st == st || get(e, "k") != "/0" {
		t.Fatal("a flush of much, or what followed one of little, went wrong")
	}
}

// TestExpiredAreClearedBeforeRoomIsNeeded lets many small items expire at once and
// stores large ones in their place: no operation meets more of them than it
// pays for.
func TestExpiredAreClearedBeforeRoomIsNeeded(t *testing.T) {
	skipUnderRace(t)
	const memory = 8 << 20
	e := newEngine(t, Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20})
	e.Advance(testStart)
	for n := 0; e.st.Total() < memory*99/100; n++ {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "%d", n), Exptime: 10})
	}
	e.Advance(testStart + 20_000)
	value := make([]byte, 500<<10)
	for n := range 30 {
		before := e.st.Linked()
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "large-%d", n), Value: value})
		if unlinked, most := before-e.st.Linked(), len(value)/clearPerBytes+100; unlinked > most {
			t.Fatalf("item %d unlinks %d items, want at most %d", n, unlinked, most)
		}
	}
	check(t, e)
}

// TestClearingWithoutASecondStore: where there is no address space for a second
// store, a flush of much unlinks the items one by one, with the same state after it.
func TestClearingWithoutASecondStore(t *testing.T) {
	e, twin := newEngine(t, testLimits), newEngine(t, testLimits)
	for _, e := range []*Engine{e, twin} {
		e.Advance(testStart)
		for n := range clearedMax + 1 {
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n)})
		}
	}
	e.clear()
	twin.st.UnlinkAll()
	for n := range 10 {
		for _, e := range []*Engine{e, twin} {
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "after-%d", n)})
		}
	}
	contents, order := e.Digest()
	if c, o := twin.Digest(); c != contents || o != order {
		t.Errorf("digests are %x %x and %x %x", contents, order, c, o)
	}
	check(t, twin)
}
