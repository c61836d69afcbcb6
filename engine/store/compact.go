package store

const (
	// wasteShift: compaction begins when more than 1/16 of the memory limit, and
	// wasteSegments segments, is neither free nor in a live record.
	wasteShift    = 4
	wasteSegments = 4

	// gainShift: it takes segments of which it gets an eighth back.
	gainShift = 3

	// mergeMax is how many segments it makes one of, at the most.
	mergeMax = 16

	// scanMax is how many segments it looks at to choose the sparsest.
	scanMax = 512
)

// compaction empties sparse segments. It moves the live records of some that follow each
// other into a new one in their place, which keeps the order of the queue, a few with
// each operation. It changes neither sums nor order nor digest.
type compaction struct {
	from, to *segment // nil if nothing is being moved
	at       int      // offset in from
	more     int      // segments to take after from
	scanned  uint32   // where the search for sparse segments continues
	idleAt   int64    // waste at which no segments were found that were worth merging
}

// waste returns the bytes that are taken but not by live records, nor by what an
// image waits for.
func (s *Store) waste() int64 {
	return int64(s.arena.inUse)<<granuleShift - s.live - s.kept
}

// Compact moves about the given number of bytes if there is reason to.
func (s *Store) Compact(budget int) {
	c := &s.compact
	if c.from == nil {
		waste := s.waste()
		c.idleAt = min(c.idleAt, waste)
		if waste < s.layout.WasteMax || waste < c.idleAt+int64(s.layout.SegmentBytes) {
			return
		}
		if !s.beginCompaction() {
			c.idleAt = waste
			return
		}
		c.idleAt = 0
	}
	for budget > 0 && c.from != nil {
		budget -= s.compactNext()
	}
}

// compactNext moves one record and returns about what that cost, in bytes.
func (s *Store) compactNext() int {
	const looked = 64
	c := &s.compact
	if c.at >= c.from.size { // all dead, but it was the last when they died
		s.endCompaction()
		return looked
	}
	h := c.from.at(c.at)
	r := s.arena.record(h)
	head := r.load()
	size := r.sizeBytes(head)
	c.at += size
	switch {
	case head&deadBit != 0:
		return looked
	case s.ended(r, head):
		s.Unlink(s.Hash(r.key(head)), h)
		return size + looked
	case c.to.size+size > c.to.capacity():
		s.endCompaction()
		return looked
	}
	to := c.to.at(c.to.size)
	c.to.size += size
	c.to.live += size
	s.live += int64(size)
	s.copyTo(s.Hash(r.key(head)), h, to, head&freqMask)
	return size + looked
}

// beginCompaction chooses segments and makes the one that replaces them.
func (s *Store) beginCompaction() bool {
	from, more, live := s.sparsest()
	if from == nil {
		return false
	}
	c := &s.compact
	c.from, c.at, c.more = from, from.head, more
	c.to = s.newSegment(from.queue, max(live, 1))
	c.to.bornMs = from.bornMs
	s.queues[from.queue].insertBefore(c.to, from)
	return true
}

// sparsest returns the first segment of the group that frees most for the bytes
// that have to be moved, how many follow it, and their live bytes.
func (s *Store) sparsest() (from *segment, more, live int) {
	best := 0.0
	for range min(scanMax, len(s.numbers.byID)) {
		s.compact.scanned = (s.compact.scanned + 1) % uint32(len(s.numbers.byID))
		seg := s.numbers.byID[s.compact.scanned]
		if seg == nil || !s.movable(seg) {
			continue
		}
		n, bytes, taken := s.group(seg)
		gain := taken - (bytes+granuleBytes-1)>>granuleShift
		if gain <= taken>>gainShift {
			continue
		}
		if value := float64(gain<<granuleShift) / float64(bytes+granuleBytes); value > best {
			best, from, more, live = value, seg, n-1, bytes
		}
	}
	return from, more, live
}

// group returns how many segments from seg on fit into one, their live bytes and
// the granules that they take.
func (s *Store) group(seg *segment) (n, live, granules int) {
	for ; seg != nil && n < mergeMax && s.movable(seg); seg = seg.next {
		if n > 0 && live+seg.live > max(s.layout.SegmentBytes, packedBytes) {
			break
		}
		n++
		live += seg.live
		granules += seg.run.n
	}
	return n, live, granules
}

// movable reports whether the records of a segment may be moved.
func (s *Store) movable(seg *segment) bool {
	return seg.queued && seg != s.queues[seg.queue].last && seg != s.compact.to && !seg.walked
}

// nextFrom continues with the segment after the one that has become empty.
func (s *Store) nextFrom() {
	c := &s.compact
	next := c.from.next
	if c.more == 0 || next == nil || !s.movable(next) {
		s.endCompaction()
		return
	}
	c.more--
	c.from, c.at = next, next.head
}

// endCompaction leaves what was not moved where it is.
func (s *Store) endCompaction() {
	to := s.compact.to
	s.compact.from, s.compact.to, s.compact.more = nil, nil, 0
	s.seal(to)
}
