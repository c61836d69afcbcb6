package store

import (
	"math"
	"sync/atomic"

	"raftcached/engine/memory"
)

// The queues of items, each first in, first out. What they are for, the engine says.
const (
	QueueSmall = iota
	QueueMain
	QueueCount
)

const msPerSecond = 1000

// Store holds the items: their records in segments, in the order of the two
// queues; the index over them; the slots in which they expire. Current.Replace makes
// it the one that readers use, which must be done before it is changed.
type Store struct {
	// OnFull is called when the memory is exhausted, to end a Walk and to free what
	// was retired. It must be set.
	OnFull func()

	index   *index
	arena   *arena
	timeMs  atomic.Int64
	epochs  *epochs
	expiry  expiry
	queues  [QueueCount]queue
	numbers segments
	compact compaction
	layout  Layout

	// populates gives new segments their memory at once: they are filled as fast
	// as possible.
	populates bool

	count         int64             // of items that are charged
	bytes         [QueueCount]int64 // their charges
	sum           uint64            // of their digests
	live          int64             // bytes of records that are not dead
	kept          int64             // bytes of dead records kept for a Walk
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

// Hash returns the hash of a key.
func (s *Store) Hash(key []byte) uint64 { return s.index.hash(key) }

// Seed is what the store hashes keys with.
func (s *Store) Seed() Seed { return Seed(s.index.seed.Load()) }

// SetSeed has a store in which nothing was ever linked hash keys with another seed. A reader
// that is in it finds nothing meanwhile, as before.
func (s *Store) SetSeed(seed Seed) { s.index.seed.Store(uint64(seed)) }

// Layout is how a store lays out its memory. It changes no logical state: stores
// of different layouts hold the same items.
type Layout struct {
	SegmentBytes int
	WasteMax     int64 // bytes at which compaction begins
	AddressBytes int64 // address space that is reserved
}

// LayoutFor returns the layout for a memory limit, which may be raised up to
// LimitMax.
func LayoutFor(limit int64) Layout {
	size := segmentBytesMin
	for size < segmentBytesMax && int64(2*size) <= limit>>segmentShift {
		size *= 2
	}
	return Layout{
		SegmentBytes: size,
		WasteMax:     limit>>wasteShift + wasteSegments*int64(size),
		AddressBytes: addressBytesFor(limit),
	}
}

// New returns an empty store for a cache of the given limit, with an index that has
// room for count items and hashes keys with a seed.
func New(limit int64, l Layout, count int, seed Seed) (*Store, error) {
	a, err := newArena(limit, l.AddressBytes)
	if err != nil {
		return nil, err
	}
	x, err := newIndex(a, count, seed)
	if err != nil {
		a.close()
		return nil, err
	}
	s := &Store{index: x, arena: a, layout: l}
	s.expiry.arena = a
	s.expiry.nextMs = math.MaxInt64
	return s, nil
}

// Close releases the memory of a store that never became the current one. Nothing
// else may be called after it.
func (s *Store) Close() {
	s.index.close()
	for _, t := range s.index.done {
		memory.Release(t.mem)
	}
	for _, t := range s.retiredTables {
		memory.Release(t.table.mem)
	}
	s.arena.close()
}

// BeginFill prepares for items that are added as fast as possible, EndFill ends that.
func (s *Store) BeginFill() { s.populates = true }

// EndFill ends what BeginFill began: from now on the index may shrink.
func (s *Store) EndFill() { s.index.least, s.populates = bucketsMin, false }

// NowMs is the store's time, ms of Unix time.
func (s *Store) NowMs() int64 { return s.timeMs.Load() }

// SetNowMs sets the store's time. ExpireSlots follows.
func (s *Store) SetNowMs(ms int64) { s.timeMs.Store(ms) }

// Seconds is the store's time as records have it.
func (s *Store) Seconds() uint32 { return uint32(s.timeMs.Load() / msPerSecond) }

// alive reports whether clients can see the item of a record.
func (s *Store) alive(r record, head uint32) bool {
	if head&expiryBit == 0 {
		return true
	}
	ms, _ := r.expiry(head)
	return ms > s.timeMs.Load()
}

// Add stores an item at the end of a queue, in place of what p holds. The value is
// value followed by tail.
func (s *Store) Add(q int, p *Place, m *Meta, key, value, tail []byte) Ref {
	if m.Access.Seconds == 0 {
		m.Access.Seconds = s.Seconds()
	}
	head := headFor(m, len(key), len(value)+len(tail))
	size := roundUp(shapeOf(head, len(value)+len(tail)).end)
	h := s.place(q, size)
	r := s.arena.record(h)
	r.write(head, m, key, value, tail)
	s.account(h, q, r.load())
	if p.handle == 0 {
		s.index.insert(p.Hash, h)
	} else {
		s.index.replace(p.slot, h)
		s.unaccount(p.handle)
		s.kill(s.segmentOf(p.handle), p.handle)
	}
	return Ref{record: r, head: r.load(), handle: h}
}

// Unlink takes an item out of the store. The hash is that of its key.
func (s *Store) Unlink(hash uint64, h Handle) {
	s.index.remove(s.index.slotOf(hash, h))
	s.unaccount(h)
	s.kill(s.segmentOf(h), h)
}

// kill marks a record dead, and retires its segment if it was the last live one.
func (s *Store) kill(seg *segment, h Handle) {
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
		s.retire(seg)
	}
}

// frozen returns the bits that keep a record as it is now for a Walk that has not
// reached it, those that it has already if there are some.
func (s *Store) frozen(seg *segment, h Handle, head uint32) uint32 {
	if head&frozenBit == 0 && seg.wanted(seg.offset(h)) {
		return frozenBit | head&freqMask<<frozenFreq
	}
	return head & (frozenBit | freqMask<<frozenFreq)
}

// setBits sets the bits of mask in a head to those of value. Readers may set the
// hinted and the hit bit at the same time.
func (s *Store) setBits(r record, mask, value uint32) {
	for {
		head := r.load()
		if atomic.CompareAndSwapUint32(r.head(), head, head&^mask|value&mask) {
			return
		}
	}
}

// SetFreq sets how often an item was accessed, and lets it be hinted again.
func (s *Store) SetFreq(h Handle, freq uint32) {
	r := s.arena.record(h)
	head := r.load()
	if head&expiryBit != 0 && s.unfetched(h, head) {
		s.slotOf(r, head).unfetched--
	}
	frozen := s.frozen(s.segmentOf(h), h, head)
	s.setBits(r, freqMask|hintedBit|frozenBit|freqMask<<frozenFreq, freq|frozen)
}

// Move moves an item to the end of a queue, with freq accesses, and returns its new
// handle.
func (s *Store) Move(hash uint64, h Handle, q int, freq uint32) Handle {
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
func (s *Store) copyTo(hash uint64, h, to Handle, freq uint32) {
	r, c := s.arena.record(h), s.arena.record(to)
	head := r.load()
	size := r.sizeBytes(head)
	copy(c.bytes(size)[leadBytes:], r.bytes(size)[leadBytes:])
	c.start(head&fixedBits|freq, r.access(head))
	if head&expiryBit != 0 {
		s.expiry.moved(to)
	}
	s.index.replace(s.index.slotOf(hash, h), to)
	s.kill(s.segmentOf(h), h)
}

// First returns the first item of a queue that is charged, none if there is none. It
// unlinks those before it, which are not.
func (s *Store) First(q int) Ref {
	for seg := s.queues[q].first; seg != nil; {
		next := seg.next // firstIn may retire seg
		if r := s.firstIn(seg); r.Exists() {
			return r
		}
		seg = next
	}
	return Ref{}
}

// firstIn returns the first item of a segment that is charged, none if there is none.
func (s *Store) firstIn(seg *segment) Ref {
	for seg.head < seg.size && seg.live > 0 {
		h := seg.at(seg.head)
		r := s.arena.record(h)
		head := r.load()
		if head&deadBit == 0 {
			if !s.ended(r, head) {
				return Ref{record: r, head: head, handle: h}
			}
			s.Unlink(s.Hash(r.key(head)), h)
		}
		seg.head += r.sizeBytes(head)
	}
	return Ref{}
}

// UnlinkAll unlinks all items.
func (s *Store) UnlinkAll() {
	for q := range QueueCount {
		for seg := s.queues[q].first; seg != nil; {
			next := seg.next // Unlink may retire seg
			for at := seg.head; at < seg.size && seg.live > 0; {
				h := seg.at(at)
				r := s.arena.record(h)
				head := r.load()
				at += r.sizeBytes(head)
				if head&deadBit == 0 {
					s.Unlink(s.Hash(r.key(head)), h)
				}
			}
			seg.head = seg.size
			seg = next
		}
	}
}

// UnlinkExpired unlinks up to n items whose expiry slot has ended.
func (s *Store) UnlinkExpired(n int) {
	for range n {
		h := s.expiry.nextEnded()
		if h == 0 {
			return
		}
		r := s.arena.record(h)
		s.Unlink(s.Hash(r.key(r.load())), h)
	}
}

// Tidied reports whether UnlinkExpired and Compact have nothing to do.
func (s *Store) Tidied() bool { return s.expiry.nextEnded() == 0 && s.compact.from == nil }
