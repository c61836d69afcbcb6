package store

// Walk visits the items as they were when it began, in the order of the queues, while
// the store goes on. There may be one at a time.
//
// An item that changes before the walk has reached it is stored again like any other.
// Its record dies, and stays in its place until then, see Store.frozen.
type Walk struct {
	store    *Store
	segments []*segment
	timeMs   int64 // when it began
}

// NewWalk begins a walk.
func (s *Store) NewWalk() *Walk {
	if s.compact.to != nil {
		s.endCompaction()
	}
	w := &Walk{store: s, timeMs: s.timeMs.Load()}
	for q := range QueueCount {
		for seg := s.queues[q].first; seg != nil; seg = seg.next {
			if seg.live > 0 {
				seg.walked, seg.walkFrom, seg.walkTo = true, seg.head, seg.size
				w.segments = append(w.segments, seg)
			}
		}
	}
	return w
}

// More reports whether there are records left to visit.
func (w *Walk) More() bool { return len(w.segments) > 0 }

// Queue is the queue of the next record.
func (w *Walk) Queue() int { return w.segments[0].queue }

// Next visits the next record. ok is false if that held no item that was charged when
// the walk began. size is what the record takes, for callers that bound their work.
func (w *Walk) Next() (key, value []byte, m Meta, size int, ok bool) {
	seg := w.segments[0]
	r := w.store.arena.record(seg.at(seg.walkFrom))
	head := r.load()
	size = r.sizeBytes(head)
	seg.walkFrom += size
	frozen := head&frozenBit != 0
	if ok = frozen || head&deadBit == 0; ok {
		key, value, m = r.read(head)
		ok = m.ExpiryMs == 0 || SlotEnd(m.Level, m.ExpiryMs) > w.timeMs
	}
	if frozen {
		m.Freq = head >> frozenFreq & freqMask
		w.thaw(r, head, size)
	}
	if seg.walkFrom >= seg.walkTo {
		w.leave(seg)
		w.segments = w.segments[1:]
	}
	return key, value, m, size, ok
}

// Close ends the walk before it has visited everything: nothing is kept for it any
// more.
func (w *Walk) Close() {
	for _, seg := range w.segments {
		for seg.walkFrom < seg.walkTo {
			r := w.store.arena.record(seg.at(seg.walkFrom))
			head := r.load()
			size := r.sizeBytes(head)
			w.thaw(r, head, size)
			seg.walkFrom += size
		}
		w.leave(seg)
	}
	w.segments = nil
}

// thaw ends the keeping of a record as it was when the walk began.
func (w *Walk) thaw(r record, head uint32, size int) {
	if head&frozenBit == 0 {
		return
	}
	w.store.setBits(r, frozenBit|freqMask<<frozenFreq, 0)
	if head&deadBit != 0 {
		w.store.kept -= int64(size)
	}
}

// leave ends the keeping of a segment, and retires it if it was kept for the walk
// alone.
func (w *Walk) leave(seg *segment) {
	seg.walked, seg.walkFrom, seg.walkTo = false, 0, 0
	if seg.live == 0 && !seg.queued {
		w.store.retire(seg)
	}
}
