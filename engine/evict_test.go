package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// TestStoredItemLeadsItsQueue stores an item of half the memory, twice, while the
// small queue is full of items that were read. The second time it is the first
// of the main queue, and what the small queue gives comes behind it: room is to
// be found there.
func TestStoredItemLeadsItsQueue(t *testing.T) {
	limits := Limits{MemoryBytes: 1 << 20, ItemBytesMax: 1 << 20}
	e := newEngine(t, limits)
	fill := func(n int) (hints []byte) {
		for i := range n {
			key := fmt.Appendf(nil, "k%d", i)
			one(t, e, Op{Kind: OpSet, Key: key, Value: make([]byte, 900)})
			hints = binary.LittleEndian.AppendUint64(hints, store.Seed(0).Hash(key))
		}
		return hints
	}
	big := Op{Kind: OpSet, Key: []byte("big"), Value: make([]byte, limits.MemoryBytes/2-100)}
	one(t, e, Op{Kind: OpSet, Key: big.Key, Value: []byte("small still")})
	hints := fill(1080)
	e.Advance(testStart + 1) // hints count from the next entry on
	e.Hint(hints)
	if r := one(t, e, big); r.Status != item.StatusStored {
		t.Fatalf("status %d", r.Status)
	}
	if r := one(t, e, Op{Kind: OpGat, Key: big.Key}); r.Status != item.StatusHit || len(r.Value) != len(big.Value) {
		t.Fatalf("status %d, %d bytes", r.Status, len(r.Value))
	}
	if s := e.Stats(); s.Bytes > limits.MemoryBytes || s.Bytes < limits.MemoryBytes*9/10 {
		t.Fatalf("%d bytes of %d", s.Bytes, limits.MemoryBytes)
	}
	check(t, e)
}

// fillMain fills the cache up to the given size with items of the main queue that
// were accessed as often as counts: large ones, and before each of them some small ones.
func fillMain(t *testing.T, e *Engine, total int64, large, small int) {
	t.Helper()
	for n := 0; e.st.Total() < total; n++ {
		size := large
		if n%(secondChancesMax+1) < small {
			size = 10
		}
		key := fmt.Appendf(nil, "main-%d", n)
		for range 2 {
			one(t, e, Op{Kind: OpSet, Key: key, Value: bytes.Repeat([]byte{byte(n)}, size)})
		}
		for range store.FreqMax {
			e.Hint(hashOf(key))
		}
	}
}

// TestEvictionMovesInProportion stores an item where small ones lie between large
// ones that were accessed. To give all of these another round, for the few bytes
// that a small one leaves, would copy the whole cache, three times.
func TestEvictionMovesInProportion(t *testing.T) {
	const memory = 16 << 20
	e := newEngine(t, Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20})
	fillMain(t, e, memory*99/100, 60<<10, 1)
	value := make([]byte, 20<<10)
	for n := range 20 {
		chances := chancesLeft(e)
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "new-%d", n), Value: value})
		charge := int64(len(value) + 108)
		if given, most := chances-chancesLeft(e), movedBytesMin+movedPerByte*charge+2*store.FreqMax*(60<<10+100); given > most {
			t.Fatalf("item %d of %d bytes: another round for %d, want at most %d", n, len(value), given, most)
		}
	}
	check(t, e)
}

// chancesLeft is the sum of the items' charges, each as often as the item may be
// moved on.
func chancesLeft(e *Engine) (n int64) {
	for r := range e.st.Items(store.QueueMain) {
		n += int64(r.Freq()) * r.Charge()
	}
	return n
}

// TestEvictionUsesWhatItLeaves lowers the limit of a cache full of items that
// were accessed, and stores into another one like it: what moves takes the memory
// that what moved before it has left.
func TestEvictionUsesWhatItLeaves(t *testing.T) {
	const memory = 32 << 20
	for _, op := range []Op{
		{Kind: OpMemoryLimit, Delta: memoryLimitMin},
		{Kind: OpSet, Key: []byte("large"), Value: make([]byte, 2<<20)},
		{Kind: OpAppend, Key: []byte("main-1"), Value: make([]byte, 2<<20)},
	} {
		e := newEngine(t, Limits{MemoryBytes: memory, ItemBytesMax: 8 << 20})
		fillMain(t, e, memory*99/100, 16<<10, 0)
		one(t, e, op)
		e.Advance(testStart)
		if most := e.st.Usage().PeakBytes; most > memory*13/10+useConstant {
			t.Errorf("operation %d: %d bytes in use at a time, want at most %d", op.Kind, most, memory*13/10+useConstant)
		}
		check(t, e)
	}
}

// TestResultOutlivesEviction touches an item that has a segment of its own while
// the limit has just been lowered, so that many others move and go: what was read
// is not overwritten before it is returned.
func TestResultOutlivesEviction(t *testing.T) {
	const memory, size = 32 << 20, 200 << 10
	e := newEngine(t, Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20})
	for range 2 {
		one(t, e, Op{Kind: OpSet, Key: []byte("goes first")})
	}
	fillMain(t, e, memory*95/100, size, 0)
	one(t, e, Op{Kind: OpMemoryLimit, Delta: memoryLimitMin})
	r := one(t, e, Op{Kind: OpGat, Key: []byte("main-7")})
	if r.Status != item.StatusHit || !bytes.Equal(r.Value, bytes.Repeat([]byte{7}, size)) {
		t.Fatalf("status %d, %d bytes", r.Status, len(r.Value))
	}
}
