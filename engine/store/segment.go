package store

import (
	"fmt"

	"raftcached/engine/memory"
)

const (
	// A segment takes 1/256 of the memory limit, within these bounds.
	segmentBytesMin = 64 << 10
	segmentBytesMax = 2 << 20
	segmentShift    = 8

	// packedBytes is the size of a segment of which what rounds it up to granules
	// is not more than a part of 1<<wasteShift.
	packedBytes = granuleBytes << wasteShift
)

// segment is a run of the arena that holds records of one queue in the order of
// the queue. Only the last segment of a queue is added to.
type segment struct {
	run   run
	id    uint32
	queue int

	size int // bytes of records, dead ones included
	live int // bytes of live records
	head int // offset of the first record that the queue has not passed

	bornMs int64 // log time at which the first record was placed; local

	queued         bool // in its queue
	previous, next *segment

	// A Walk is to visit the records from walkFrom to walkTo. The segment is kept for
	// it, and so are the records that die before they are visited.
	walked           bool
	walkFrom, walkTo int
}

func (s *segment) capacity() int { return s.run.n << granuleShift }

// at returns the handle of the record at the offset.
func (s *segment) at(offset int) Handle {
	return Handle((s.run.first<<granuleShift + offset) >> unitShift)
}

// offset returns the offset of the record at h.
func (s *segment) offset(h Handle) int {
	return int(h)<<unitShift - s.run.first<<granuleShift
}

// wanted reports whether a Walk has not yet visited the record at the offset.
func (s *segment) wanted(offset int) bool { return offset >= s.walkFrom && offset < s.walkTo }

// queue is a first-in first-out queue of items, as the segments that hold them.
// Records of items that have left it are dead.
type queue struct{ first, last *segment }

// insertBefore puts s before next, or last if that is nil.
func (q *queue) insertBefore(s, next *segment) {
	s.next, s.queued = next, true
	if next == nil {
		s.previous, q.last = q.last, s
	} else {
		s.previous, next.previous = next.previous, s
	}
	if s.previous == nil {
		q.first = s
	} else {
		s.previous.next = s
	}
}

func (q *queue) remove(s *segment) {
	if s.previous == nil {
		q.first = s.next
	} else {
		s.previous.next = s.next
	}
	if s.next == nil {
		q.last = s.previous
	} else {
		s.next.previous = s.previous
	}
	s.previous, s.next, s.queued = nil, nil, false
}

// segments gives out segments by number.
type segments struct {
	byID []*segment // nil if the number is free
	free []uint32
}

func (s *segments) add(seg *segment) {
	if n := len(s.free); n > 0 {
		seg.id, s.free = s.free[n-1], s.free[:n-1]
		s.byID[seg.id] = seg
		return
	}
	seg.id = uint32(len(s.byID))
	s.byID = append(s.byID, seg)
}

func (s *segments) remove(seg *segment) {
	s.byID[seg.id] = nil
	s.free = append(s.free, seg.id)
}

// segmentOf returns the segment that holds h.
func (s *Store) segmentOf(h Handle) *segment {
	return s.numbers.byID[s.arena.segmentOf[granuleOf(h)]]
}

// place makes room for a record of the given size at the end of a queue.
func (s *Store) place(q, size int) Handle {
	seg := s.queues[q].last
	if seg == nil || seg == s.compact.to || seg.size+size > seg.capacity() {
		if seg != nil {
			s.seal(seg)
		}
		seg = s.newSegment(q, s.segmentFor(size))
		s.queues[q].insertBefore(seg, nil)
	}
	h := seg.at(seg.size)
	seg.size += size
	seg.live += size
	s.live += int64(size)
	return h
}

// segmentFor returns the size of a segment that begins with a record of the given size.
// It assumes that more of the same size follow, so that little of the last granule is
// wasted.
func (s *Store) segmentFor(size int) int {
	n := max(1, s.layout.SegmentBytes/size)
	for n*size < packedBytes && -(n*size)&(granuleBytes-1) > n*size>>wasteShift {
		n++
	}
	return max(s.layout.SegmentBytes, n*size)
}

// newSegment returns a segment of a queue, which it is not in yet, for at least
// size bytes.
func (s *Store) newSegment(q, size int) *segment {
	n := (size + granuleBytes - 1) >> granuleShift
	granules, ok := s.arena.alloc(n)
	if !ok {
		s.OnFull()
		if granules, ok = s.arena.alloc(n); !ok {
			panic(fmt.Sprintf("store: no %d free granules in a row of %d, %d in use; is the address space limited (ulimit -v)?", n, s.arena.granules, s.arena.inUse))
		}
	}
	seg := &segment{run: granules, queue: q, bornMs: s.timeMs.Load()}
	s.numbers.add(seg)
	for g := seg.run.first; g < seg.run.first+seg.run.n; g++ {
		s.arena.segmentOf[g] = seg.id
	}
	if s.populates {
		memory.Populate(s.arena.mem[seg.run.first<<granuleShift:][:seg.capacity()])
	}
	return seg
}

// seal ends a segment that was the last of its queue: it frees the granules that the
// segment does not need.
func (s *Store) seal(seg *segment) {
	if need := (seg.size + granuleBytes - 1) >> granuleShift; need > 0 && need < seg.run.n {
		s.arena.free(run{seg.run.first + need, seg.run.n - need})
		seg.run.n = need
	}
	if seg.live == 0 {
		s.retire(seg)
	}
}

// retire puts a segment out of use whose records are all dead: at once, or when a Walk
// is done with it.
func (s *Store) retire(seg *segment) {
	if seg == s.compact.to {
		return // it is being filled
	}
	if seg == s.compact.from {
		s.nextFrom()
	}
	if seg.queued {
		s.queues[seg.queue].remove(seg)
	}
	if !seg.walked {
		s.retired = append(s.retired, retiredSegment{segment: seg, epoch: s.epochs.retire()})
	}
}

// Retired reports whether segments are retired that Free has not taken back.
func (s *Store) Retired() bool { return len(s.retired) > 0 }

// Free takes back what was retired, as far as readers have moved on.
func (s *Store) Free() {
	n := 0
	for n < len(s.retired) && s.epochs.passed(s.retired[n].epoch) {
		seg := s.retired[n].segment
		s.arena.free(seg.run)
		s.numbers.remove(seg)
		n++
	}
	if n > 0 {
		s.retired = append(s.retired[:0], s.retired[n:]...)
	}
	for _, t := range s.index.done {
		s.retiredTables = append(s.retiredTables, retiredTable{table: t, epoch: s.epochs.retire()})
	}
	s.index.done = s.index.done[:0]
	for len(s.retiredTables) > 0 && s.epochs.passed(s.retiredTables[0].epoch) {
		memory.Release(s.retiredTables[0].table.mem)
		s.retiredTables = s.retiredTables[1:]
	}
}
