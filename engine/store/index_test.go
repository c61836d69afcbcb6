package store

import (
	"testing"

	"raftcached/engine/memory"
)

// TestSpilledItemsAreFound has many more items spill from one bucket than it can
// count, and further than it can tell: all are found, whichever of them go.
func TestSpilledItemsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it has one goroutine: the race detector has nothing to find")
	}
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
	for h := range Handle(items) {
		table.insert(hash, h+1)
	}
	for h := range Handle(items) {
		x.remove(x.slotOf(hash, h+1))
		for left := h + 2; left <= items; left++ {
			if found, _ := x.find(table, hash, nil, left); found != left {
				t.Fatalf("item %d is not found after %d others have gone", left, h+1)
			}
		}
	}
}

// TestSweepKeepsWhatSpilled has items of the last bucket spill further over the
// first ones than what a sweep releases at a time.
func TestSweepKeepsWhatSpilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it has one goroutine: the race detector has nothing to find")
	}
	const buckets, items = 4096, (sweptBytes/bucketBytes + 100) * slotsPerBucket
	table, err := newTable(buckets)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Release(table.mem)
	const hash = 1<<64 - 1
	for h := range Handle(items) {
		table.insert(hash, h+1)
	}
	for home := range uint64(buckets) {
		table.releaseBehind(home)
	}
	x := &index{}
	for h := Handle(1); h <= items; h += 7 {
		if found, _ := x.find(table, hash, nil, h); found != h {
			t.Fatalf("item %d is not found", h)
		}
	}
}
