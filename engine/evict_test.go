package engine

import (
	"encoding/binary"
	"fmt"
	"testing"
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
			hints = binary.LittleEndian.AppendUint64(hints, hashKey(key))
		}
		return hints
	}
	big := Op{Kind: OpSet, Key: []byte("big"), Value: make([]byte, limits.MemoryBytes/2-100)}
	one(t, e, Op{Kind: OpSet, Key: big.Key, Value: []byte("small still")})
	hints := fill(1080)
	e.Advance(testStart + 1) // hints count from the next entry on
	e.Hint(hints)
	if r := one(t, e, big); r.Status != StatusStored {
		t.Fatalf("status %d", r.Status)
	}
	if r := one(t, e, Op{Kind: OpGat, Key: big.Key}); r.Status != StatusHit || len(r.Value) != len(big.Value) {
		t.Fatalf("status %d, %d bytes", r.Status, len(r.Value))
	}
	if s := e.Stats(); s.Bytes > limits.MemoryBytes || s.Bytes < limits.MemoryBytes*9/10 {
		t.Fatalf("%d bytes of %d", s.Bytes, limits.MemoryBytes)
	}
	check(t, e)
}
