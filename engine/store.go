package engine

import (
	"math"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"raftcached/engine/memory"
)

// The queues of S3-FIFO.
const (
	queueSmall = iota // items on trial
	queueMain
	queueCount
)

// indexBytes is what an item is charged for its place in the index: a slot, at
// the fill that the index has on average.
const indexBytes = 8

// store holds the items: their records in segments, in the order of the two
// queues; the index over them; the slots in which they expire. A flush replaces
// it by an empty one.
//
// The applier owns it. Readers use index, arena and timeMs, within an epoch.
type store struct {
	index   *index
	arena   *arena
	timeMs  atomic.Int64
	epochs  *epochs
	expiry  expiry
	queues  [queueCount]queue
	numbers segments
	compact compaction
	squeeze func() // called when the arena is full

	// populates gives new segments their memory at once: they are filled as fast
	// as can be.
	populates bool

	layout
	count         int64             // of items that are charged
	bytes         [queueCount]int64 // their charges
	sum           uint64            // of their digests
	live          int64             // bytes of records that are not dead
	kept          int64             // bytes of dead records kept for an image
	retired       []retiredSegment
	retiredTables []retiredTable
}

type retiredSegment struct {
	segment *segment
	epoch   uint64
}

type retiredTable struct {
	table *table
	epoch uint64
}

func hashKey(key []byte) uint64 { return xxhash.Sum64(key) }

// layout is how a store lays out its memory. It changes no logical state: stores
// of different layouts hold the same items.
type layout struct {
	segmentBytes int
	wasteMax     int64 // bytes at which compaction begins
}

// layoutFor returns the layout for a memory limit.
func layoutFor(limit int64) layout {
	size := segmentBytesMin
	for size < segmentBytesMax && int64(2*size) <= limit>>segmentShift {
		size *= 2
	}
	return layout{size, limit>>wasteShift + wasteSegments*int64(size)}
}

// newStore returns an empty store for a cache of the given limit, with an index
// that has room for count items.
func newStore(limit int64, count int, l layout, e *epochs) (*store, error) {
	a, err := newArena(limit)
	if err != nil {
		return nil, err
	}
	x, err := newIndex(a, count)
	if err != nil {
		a.close()
		return nil, err
	}
	s := &store{index: x, arena: a, epochs: e, layout: l}
	s.expiry.arena = a
	s.expiry.nextMs = math.MaxInt64
	return s, nil
}

// close gives the memory back; nothing may read any more.
func (s *store) close() {
	s.index.close()
	for _, t := range s.index.done {
		memory.Release(t.mem)
	}
	for _, t := range s.retiredTables {
		memory.Release(t.table.mem)
	}
	s.arena.close()
}

// chargeMin is the least that an item is charged.
const chargeMin = 2*unitBytes + indexBytes

// chargeOf is what an item counts for, from the size of its record.
func chargeOf(size int) int64 { return int64(size) + indexBytes }

// chargeFor is what an item will count for when it is stored.
func chargeFor(m *meta, keyLen, valueLen int) int64 {
	return chargeOf(roundUp(shapeOf(headFor(m, keyLen, valueLen), valueLen).end))
}

// seconds is the time as records have it.
func (s *store) seconds() uint32 { return uint32(s.timeMs.Load() / msPerSecond) }

func (s *store) total() int64 { return s.bytes[queueSmall] + s.bytes[queueMain] }

// gone reports whether the item of a record has left the accounts because its
// expiry slot has ended.
func (s *store) gone(r record, head uint32) bool {
	if head&expiryBit == 0 {
		return false
	}
	ms, level := r.expiry(head)
	return slotEnd(level, ms) <= s.timeMs.Load()
}

// untouched reports whether nobody has asked for the item of a record, nor
// stored it again, as far as the log tells: it is on trial still, and no read of
// it was hinted.
func (s *store) untouched(h handle, head uint32) bool {
	return head&freqMask == 0 && s.segmentOf(h).queue == queueSmall
}

// slotOf returns the expiry slot of a record that expires.
func (s *store) slotOf(r record, head uint32) *expirySlot {
	ms, level := r.expiry(head)
	return &s.expiry.slots[slotID(level, ms)]
}

// alive reports whether clients can see the item of a record.
func (s *store) alive(r record, head uint32) bool {
	if head&expiryBit == 0 {
		return true
	}
	ms, _ := r.expiry(head)
	return ms > s.timeMs.Load()
}

// add stores an item at the end of a queue, in the place of what old holds, the
// slot of its key, if anything. The value is value followed by tail.
func (s *store) add(q int, hash uint64, old handle, at slot, m *meta, key, value, tail []byte) handle {
	if m.access.seconds == 0 {
		m.access.seconds = s.seconds()
	}
	head := headFor(m, len(key), len(value)+len(tail))
	size := roundUp(shapeOf(head, len(value)+len(tail)).end)
	h := s.place(q, size)
	r := s.arena.record(h)
	r.write(head, m, key, value, tail)
	s.account(h, q, r.load())
	if old == 0 {
		s.index.insert(hash, h)
	} else {
		s.index.replace(at, h)
		s.bury(old)
	}
	return h
}

// account takes a new item into the sums and into its expiry slot.
func (s *store) account(h handle, q int, head uint32) {
	r := s.arena.record(h)
	charge, digest := chargeOf(r.sizeBytes(head)), r.digest(head)
	s.count++
	s.bytes[q] += charge
	s.sum += digest
	if head&expiryBit != 0 {
		s.expiry.add(h, q, charge, digest)
		if s.untouched(h, head) {
			s.slotOf(r, head).unfetched++
		}
	}
}

// remove takes the item at h out.
func (s *store) remove(hash uint64, h handle) {
	s.index.remove(s.index.slotOf(hash, h))
	s.bury(h)
}

// bury takes an item that readers can no longer find out of the sums, and its
// record out of use.
func (s *store) bury(h handle) {
	r := s.arena.record(h)
	head := r.load()
	seg := s.segmentOf(h)
	if !s.gone(r, head) {
		charge, digest := chargeOf(r.sizeBytes(head)), r.digest(head)
		s.count--
		s.bytes[seg.queue] -= charge
		s.sum -= digest
		if head&expiryBit != 0 {
			s.expiry.drop(h, seg.queue, charge, digest)
			if s.untouched(h, head) {
				s.slotOf(r, head).unfetched--
			}
		}
	}
	if head&expiryBit != 0 {
		s.expiry.unlink(h)
	}
	s.discard(seg, h)
}

// discard marks a record dead and lets its segment go if it was the last.
func (s *store) discard(seg *segment, h handle) {
	r := s.arena.record(h)
	head := r.load()
	size := r.sizeBytes(head)
	frozen := s.frozen(seg, h, head)
	if frozen&frozenBit != 0 {
		s.kept += int64(size)
	}
	s.setBits(r, frozenBit|freqMask<<frozenFreq|deadBit, frozen|deadBit)
	seg.live -= size
	s.live -= int64(size)
	if seg.live == 0 && seg != s.queues[seg.queue].last {
		s.release(seg)
	}
}

// frozen returns the bits that keep a record as it is now for an image that has
// still to write it, those that it has already if there are some.
func (s *store) frozen(seg *segment, h handle, head uint32) uint32 {
	if head&frozenBit == 0 && seg.wanted(seg.offset(h)) {
		return frozenBit | head&freqMask<<frozenFreq
	}
	return head & (frozenBit | freqMask<<frozenFreq)
}

// setBits sets the bits of mask in a head to those of value. Readers may set the
// hinted and the hit bit at the same time.
func (s *store) setBits(r record, mask, value uint32) {
	for {
		head := r.load()
		if atomic.CompareAndSwapUint32(r.head(), head, head&^mask|value&mask) {
			return
		}
	}
}

// setFreq changes how often an item was accessed, and lets it be hinted anew.
func (s *store) setFreq(h handle, freq uint32) {
	r := s.arena.record(h)
	head := r.load()
	if head&expiryBit != 0 && s.untouched(h, head) {
		s.slotOf(r, head).unfetched--
	}
	frozen := s.frozen(s.segmentOf(h), h, head)
	s.setBits(r, freqMask|hintedBit|frozenBit|freqMask<<frozenFreq, freq|frozen)
}

// move puts the item at h at the end of a queue, with freq accesses, and returns
// where it is then.
func (s *store) move(hash uint64, h handle, q int, freq uint32) handle {
	from := s.segmentOf(h)
	r := s.arena.record(h)
	head := r.load()
	size := r.sizeBytes(head)
	if from.queue != q {
		charge := chargeOf(size)
		s.bytes[from.queue] -= charge
		s.bytes[q] += charge
		if head&expiryBit != 0 {
			slot := s.slotOf(r, head)
			slot.count[from.queue]--
			slot.bytes[from.queue] -= charge
			slot.count[q]++
			slot.bytes[q] += charge
		}
	}
	to := s.place(q, size)
	s.copyTo(hash, h, to, freq)
	return to
}

// copyTo makes a copy of the record at h the item's record.
func (s *store) copyTo(hash uint64, h, to handle, freq uint32) {
	r, c := s.arena.record(h), s.arena.record(to)
	head := r.load()
	size := r.sizeBytes(head)
	copy(c.bytes(size)[leadBytes:], r.bytes(size)[leadBytes:])
	c.start(head&fixedBits|freq, r.access(head))
	if head&expiryBit != 0 {
		s.expiry.moved(to)
	}
	s.index.replace(s.index.slotOf(hash, h), to)
	s.discard(s.segmentOf(h), h)
}

// peek returns the first item of a queue that has not left the accounts, 0 if
// there is none. What has left is cleared away.
func (s *store) peek(q int) handle {
	for seg := s.queues[q].first; seg != nil; {
		next := seg.next // peekIn may let seg go
		if h := s.peekIn(seg); h != 0 {
			return h
		}
		seg = next
	}
	return 0
}

// peekIn returns the first item of a segment that has not left the accounts, 0
// if there is none.
func (s *store) peekIn(seg *segment) handle {
	for seg.head < seg.size && seg.live > 0 {
		h := seg.at(seg.head)
		r := s.arena.record(h)
		head := r.load()
		if head&deadBit == 0 {
			if !s.gone(r, head) {
				return h
			}
			s.remove(hashKey(r.key(head)), h)
		}
		seg.head += r.sizeBytes(head)
	}
	return 0
}

// removeAll takes all items out, and clears away those that have expired.
func (s *store) removeAll() {
	for q := range queueCount {
		for seg := s.queues[q].first; seg != nil; {
			next := seg.next // remove may let seg go
			for at := seg.head; at < seg.size && seg.live > 0; {
				h := seg.at(at)
				r := s.arena.record(h)
				head := r.load()
				at += r.sizeBytes(head)
				if head&deadBit == 0 {
					s.remove(hashKey(r.key(head)), h)
				}
			}
			seg.head = seg.size
			seg = next
		}
	}
}

// clearDead clears away the records of up to n items that have expired.
func (s *store) clearDead(n int) bool {
	for range n {
		h := s.expiry.nextDead()
		if h == 0 {
			return false
		}
		r := s.arena.record(h)
		s.remove(hashKey(r.key(r.load())), h)
	}
	return true
}
