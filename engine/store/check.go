package store

import (
	"fmt"
	"iter"
)

// Items are the items of a queue that are charged, in the order of the queue. Nothing
// may change meanwhile.
func (s *Store) Items(q int) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for seg := s.queues[q].first; seg != nil; seg = seg.next {
			for r := range s.records(seg) {
				if r.head&deadBit == 0 && s.Charged(r) && !yield(r) {
					return
				}
			}
		}
	}
}

// records are all records of a segment.
func (s *Store) records(seg *segment) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for at := 0; at < seg.size; {
			r := s.ref(seg.at(at))
			at += r.record.sizeBytes(r.head)
			if !yield(r) {
				return
			}
		}
	}
}

// totals is what a pass through the segments adds up.
type totals struct {
	count, live int64
	bytes       [QueueCount]int64
	sum         uint64
	records     int
	granules    int
	slots       map[int]expirySlot
}

// Check passes through everything that the store holds and compares it with the sums
// that it keeps. It is for tests, whose every operation it may follow.
func (s *Store) Check() error {
	got := totals{slots: make(map[int]expirySlot)}
	for q := range QueueCount {
		var previous *segment
		for seg := s.queues[q].first; seg != nil; previous, seg = seg, seg.next {
			if seg.previous != previous || seg.queue != q || !seg.queued || s.numbers.byID[seg.id] != seg {
				return fmt.Errorf("segment %d of queue %d is linked wrongly", seg.id, q)
			}
			if err := got.addSegment(s, seg); err != nil {
				return fmt.Errorf("segment %d of queue %d: %w", seg.id, q, err)
			}
		}
		if s.queues[q].last != previous {
			return fmt.Errorf("queue %d ends elsewhere", q)
		}
	}
	for _, r := range s.retired {
		got.granules += r.segment.run.n
	}
	for _, seg := range s.numbers.byID {
		if seg != nil && !seg.queued && seg.walked {
			got.granules += seg.run.n
		}
	}
	switch {
	case got.count != s.count || got.bytes != s.bytes || got.sum != s.sum || got.live != s.live:
		return fmt.Errorf("items add up to %+v, the store says %d items of %v bytes, sum %x, %d live", got, s.count, s.bytes, s.sum, s.live)
	case got.granules != s.arena.inUse:
		return fmt.Errorf("segments have %d granules, the arena gave %d", got.granules, s.arena.inUse)
	case got.records != s.index.count:
		return fmt.Errorf("%d records, %d in the index", got.records, s.index.count)
	}
	return s.checkSlots(got.slots)
}

// addSegment adds up the records of a segment.
func (t *totals) addSegment(s *Store, seg *segment) error {
	live := 0
	t.granules += seg.run.n
	for r := range s.records(seg) {
		if r.head&deadBit != 0 {
			continue
		}
		live += r.record.sizeBytes(r.head)
		t.records++
		key, _, m := r.Read()
		switch found, _ := s.index.lookup(s.Hash(key), key); {
		case found != r.handle:
			return fmt.Errorf("key %q is at %d, the index says %d", key, r.handle, found)
		case s.segmentOf(r.handle) != seg:
			return fmt.Errorf("key %q is in another segment", key)
		case !s.Charged(r):
			continue
		}
		charge, digest := r.Charge(), r.record.digest(r.head)
		t.count++
		t.bytes[seg.queue] += charge
		t.sum += digest
		if m.ExpiryMs != 0 {
			id := slotID(m.Level, m.ExpiryMs)
			slot := t.slots[id]
			slot.count[seg.queue]++
			slot.bytes[seg.queue] += charge
			slot.sum += digest
			if s.Unfetched(r) {
				slot.unfetched++
			}
			t.slots[id] = slot
		}
	}
	t.live += int64(live)
	if live != seg.live {
		return fmt.Errorf("it has %d live bytes, says %d", live, seg.live)
	}
	return nil
}

func (s *Store) checkSlots(want map[int]expirySlot) error {
	for id, slot := range s.expiry.slots {
		w := want[id]
		if slot.count != w.count || slot.bytes != w.bytes || slot.sum != w.sum || slot.unfetched != w.unfetched {
			return fmt.Errorf("expiry slot %d holds %+v, its items add up to %+v", id, slot, w)
		}
		n := int64(0)
		for h := slot.first; h != 0; {
			r := s.ref(h)
			h = *r.record.next(r.head)
			n++
		}
		if n != slot.count[0]+slot.count[1] {
			return fmt.Errorf("expiry slot %d lists %d items of %v", id, n, slot.count)
		}
	}
	return nil
}
