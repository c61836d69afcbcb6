package engine

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
	head int // offset of the first record that the queue has not let go

	bornMs int64 // log time at which the first record was placed; local

	queued         bool // in its queue
	previous, next *segment

	// An image is to write the records from imageFrom to imageTo. It keeps the
	// segment, and the records that die before they are written.
	imaged             bool
	imageFrom, imageTo int
}

func (s *segment) capacity() int { return s.run.n << granuleShift }

// at returns the handle of the record at the offset.
func (s *segment) at(offset int) handle {
	return handle((s.run.first<<granuleShift + offset) >> unitShift)
}

// offset returns the offset of the record at h.
func (s *segment) offset(h handle) int {
	return int(h)<<unitShift - s.run.first<<granuleShift
}

// wanted reports whether an image has still to write what is at the offset.
func (s *segment) wanted(offset int) bool { return offset >= s.imageFrom && offset < s.imageTo }

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

func (s *segments) drop(seg *segment) {
	s.byID[seg.id] = nil
	s.free = append(s.free, seg.id)
}
