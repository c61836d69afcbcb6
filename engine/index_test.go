package engine

import (
	"fmt"
	"testing"

	"raftcached/engine/memory"
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
	buckets := func() uint64 { return e.st.index.state.Load().now.buckets }
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
	if perItem := float64(full*bucketBytes) / n; perItem > 64/growTo+0.1 || buckets() > 2*bucketsMin {
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

// TestSpilledItemsAreFound has many more items spill from one bucket than it can
// count, and further than it can tell: all are found, whichever of them go.
func TestSpilledItemsAreFound(t *testing.T) {
	const items = 20
	x := &index{count: items, least: 1 << 17}
	table, err := newTable(1 << 17)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Release(table.mem)
	x.state.Store(&tables{now: table})
	table.words[spillWord] = spillMax - items/2 // as if so many had spilled
	const hash = 0
	for i := range spillMax + 10 { // full buckets, of other tags than that of the hash
		for word := range uint64(slotsPerBucket) {
			table.setTag(uint64(i), word, 0xff)
		}
	}
	for h := range handle(items) {
		table.insert(hash, h+1)
	}
	for h := range handle(items) {
		x.remove(x.slotOf(hash, h+1))
		for left := h + 2; left <= items; left++ {
			if found, _ := x.find(table, hash, nil, left); found != left {
				t.Fatalf("item %d is not found after %d others have gone", left, h+1)
			}
		}
	}
}

// TestSweepKeepsWhatSpilled has items of the last bucket spill further over the
// first ones than what a sweep gives back at a time.
func TestSweepKeepsWhatSpilled(t *testing.T) {
	const buckets, items = 4096, (sweptBytes/bucketBytes + 100) * slotsPerBucket
	table, err := newTable(buckets)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Release(table.mem)
	const hash = 1<<64 - 1
	for h := range handle(items) {
		table.insert(hash, h+1)
	}
	for home := range uint64(buckets) {
		table.giveBackBehind(home)
	}
	x := &index{}
	for h := handle(1); h <= items; h += 7 {
		if found, _ := x.find(table, hash, nil, h); found != h {
			t.Fatalf("item %d is not found", h)
		}
	}
}
