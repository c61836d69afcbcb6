package engine

import (
	"fmt"
	"testing"
)

// TestIndexFollowsTheCount fills, empties and fills again: the index grows and
// shrinks by sweeps that operations interrupt at any point, and holds exactly
// what is there.
func TestIndexFollowsTheCount(t *testing.T) {
	skipUnderRace(t)
	e := newEngine(t, Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 10})
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }
	const n = 60_000
	set := func(from, to int) {
		for i := from; i < to; i++ {
			one(t, e, Op{Kind: OpSet, Key: key(i)})
		}
	}
	remove := func(from, to int) {
		for i := from; i < to; i++ {
			one(t, e, Op{Kind: OpDelete, Key: key(i)})
		}
	}
	buckets := func() int64 { return e.Stats().IndexBuckets }
	set(0, n)
	full := buckets()
	for _, left := range []int{0, 100, n / 10, n / 2} {
		remove(left, n)
		check(t, e)
		set(left, n)
		check(t, e)
	}
	remove(0, n)
	for i := range n { // what sweeps need to end
		one(t, e, Op{Kind: OpSet, Key: key(i % 10)})
		one(t, e, Op{Kind: OpDelete, Key: key(i % 10)})
	}
	check(t, e)
	const bucketBytes, growTo, bucketsMin = 64, 7.2, 128 // of the index
	if perItem := float64(full*bucketBytes) / n; perItem > bucketBytes/growTo+0.1 || buckets() > 2*bucketsMin {
		t.Fatalf("%.1f bytes an item when full, %d buckets of %d when empty", perItem, buckets(), full)
	}
}

// TestShrinkingIndexTakesAnything fills an index that is being shrunk because
// everything was deleted.
func TestShrinkingIndexTakesAnything(t *testing.T) {
	skipUnderRace(t)
	for _, refill := range []int{1000, 30_000} {
		e := newEngine(t, Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 10})
		for round := range 2 {
			for i := range 30_000 {
				one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "%d-%d", round, i)})
			}
			for i := range 30_000 {
				one(t, e, Op{Kind: OpDelete, Key: fmt.Appendf(nil, "%d-%d", round, i)})
			}
			for i := range refill {
				one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "again-%d", i)})
			}
			check(t, e)
		}
	}
}
