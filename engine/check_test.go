package engine

import (
	"testing"

	"raftcached/engine/memory"
)

// newEngine returns an engine that the end of the test closes.
func newEngine(t testing.TB, l Limits) *Engine {
	t.Helper()
	e, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// skipUnderRace skips a test that takes long and has only one goroutine: the race
// detector would find nothing in it.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if !memory.OffHeap {
		t.Skip("one goroutine: nothing to race with")
	}
}

// fataler is testing.TB or rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// totals is what a walk through the segments adds up.
type totals struct {
	count, live int64
	bytes       [queueCount]int64
	sum         uint64
	records     int
	granules    int
	slots       map[int]expirySlot
}

// check walks through everything that the engine holds and compares it with the
// sums that it keeps.
func check(t fataler, e *Engine) {
	t.Helper()
	st := e.st
	got := totals{slots: make(map[int]expirySlot)}
	for q := range queueCount {
		var previous *segment
		for seg := st.queues[q].first; seg != nil; previous, seg = seg, seg.next {
			if seg.previous != previous || seg.queue != q || !seg.queued || st.numbers.byID[seg.id] != seg {
				t.Fatalf("segment %d of queue %d is linked wrongly", seg.id, q)
			}
			got.walk(t, st, seg)
		}
		if st.queues[q].last != previous {
			t.Fatalf("queue %d ends elsewhere", q)
		}
	}
	for _, r := range st.retired {
		got.granules += r.segment.run.n
	}
	for _, seg := range st.numbers.byID {
		if seg != nil && !seg.queued && seg.imaged {
			got.granules += seg.run.n
		}
	}
	if got.count != st.count || got.bytes != st.bytes || got.sum != st.sum || got.live != st.live {
		t.Fatalf("items add up to %+v, the store says %d items of %v bytes, sum %x, %d live", got, st.count, st.bytes, st.sum, st.live)
	}
	if got.granules != st.arena.inUse {
		t.Fatalf("segments have %d granules, the arena gave %d", got.granules, st.arena.inUse)
	}
	if got.records != st.index.count {
		t.Fatalf("%d records, %d in the index", got.records, st.index.count)
	}
	for id, s := range st.expiry.slots {
		want := got.slots[id]
		if s.count != want.count || s.bytes != want.bytes || s.sum != want.sum || s.unfetched != want.unfetched {
			t.Fatalf("expiry slot %d holds %+v, its items add up to %+v", id, s, want)
		}
		n := int64(0)
		for h := s.first; h != 0; h = *st.arena.record(h).next(st.arena.record(h).load()) {
			n++
		}
		if n != s.count[0]+s.count[1] {
			t.Fatalf("expiry slot %d lists %d items of %v", id, n, s.count)
		}
	}
}

func (g *totals) walk(t fataler, st *store, seg *segment) {
	live := 0
	g.granules += seg.run.n
	for at := 0; at < seg.size; {
		h := seg.at(at)
		r := st.arena.record(h)
		head := r.load()
		size := r.sizeBytes(head)
		at += size
		if head&deadBit != 0 {
			continue
		}
		live += size
		g.records++
		key, _, m := r.read(head)
		if found, _ := st.index.lookup(hashKey(key), key); found != h {
			t.Fatalf("key %q is at %d, the index says %d", key, h, found)
		}
		if st.segmentOf(h) != seg {
			t.Fatalf("key %q is in another segment", key)
		}
		if st.gone(r, head) {
			continue
		}
		charge, digest := chargeOf(size), r.digest(head)
		g.count++
		g.bytes[seg.queue] += charge
		g.sum += digest
		if m.expiryMs != 0 {
			id := slotID(m.level, m.expiryMs)
			s := g.slots[id]
			s.count[seg.queue]++
			s.bytes[seg.queue] += charge
			s.sum += digest
			if st.untouched(h, head) {
				s.unfetched++
			}
			g.slots[id] = s
		}
	}
	g.live += int64(live)
	if live != seg.live {
		t.Fatalf("segment %d has %d live bytes, says %d", seg.id, live, seg.live)
	}
}
