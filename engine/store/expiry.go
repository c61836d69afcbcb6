package store

import (
	"math"
	"math/bits"
)

const (
	// levelCount levels of slots, each twice as coarse as the one before, reach
	// further than the 31 bits of seconds that an expiry has.
	levelCount = 28

	// levelSlots is more than the slots of one level that are in use at a time: the
	// slot of an item ends at most 64 times the level's slot length after the item was
	// stored.
	levelSlots = 128

	// slotMs is the length of a slot of the finest level.
	slotMs = 1000

	// shareShift says how coarse a slot may be: at most 1/32 of the time to live.
	shareShift = 5

	// listMarker is the first of the values that name a list instead of a record.
	listMarker = 0xffff0000

	endedListsMax = int(math.MaxUint32-listMarker) - levelCount*levelSlots
)

// expirySlot holds the items that expire within the same stretch of time. When the
// slot ends they all leave the sums at once, which happens alike on every node,
// whatever the order of the list; they are unlinked later, a few at a time.
type expirySlot struct {
	endMs int64 // a multiple of the level's slot length, ms of Unix time
	first Handle
	count [QueueCount]int64
	bytes [QueueCount]int64
	sum   uint64 // of the items' digests

	unfetched int64 // items that are Store.unfetched
}

// expiry holds the slots. An item is a miss from the millisecond on at which it
// expires. It is charged until its slot ends: at most a second, or a 32nd of its time
// to live, longer.
type expiry struct {
	arena  *arena
	slots  [levelCount * levelSlots]expirySlot
	nextMs int64 // no slot with items ends before

	// ended are the lists of slots that have ended, whose items are to be unlinked.
	ended []Handle
}

// LevelFor returns the level for an item that is stored at nowMs.
func LevelFor(nowMs, expiryMs int64) uint8 {
	ttl := max(0, expiryMs-nowMs)
	return uint8(bits.Len64(uint64(ttl/(slotMs<<shareShift)) >> 1))
}

// SlotEnd returns when the slot of an expiry ends.
func SlotEnd(level uint8, expiryMs int64) int64 {
	length := int64(slotMs) << level
	return (expiryMs + length - 1) / length * length
}

// ValidExpiry reports whether expiry and level are those of an item that is charged at
// nowMs.
func (m *Meta) ValidExpiry(nowMs int64) bool {
	if m.ExpiryMs == 0 {
		return m.Level == 0
	}
	if m.ExpiryMs <= 0 || m.Level >= levelCount {
		return false
	}
	end := SlotEnd(m.Level, m.ExpiryMs)
	return end > nowMs && end-nowMs < levelSlots*int64(slotMs)<<m.Level
}

func slotID(level uint8, expiryMs int64) int {
	length := int64(slotMs) << level
	return int(level)*levelSlots + int((expiryMs+length-1)/length%levelSlots)
}

// add puts the record at h, which expires, into its slot.
func (x *expiry) add(h Handle, queue int, charge int64, digest uint64) {
	r := x.arena.record(h)
	head := r.load()
	ms, level := r.expiry(head)
	id := slotID(level, ms)
	s := &x.slots[id]
	s.endMs = SlotEnd(level, ms)
	x.nextMs = min(x.nextMs, s.endMs)
	s.count[queue]++
	s.bytes[queue] += charge
	s.sum += digest
	x.push(&s.first, Handle(listMarker+id), h)
}

// push makes h the first of the list named marker.
func (x *expiry) push(first *Handle, marker, h Handle) {
	r := x.arena.record(h)
	head := r.load()
	*r.next(head), *r.previous(head) = *first, marker
	x.setPrevious(*first, h)
	*first = h
}

func (x *expiry) setPrevious(h, previous Handle) {
	if h != 0 {
		r := x.arena.record(h)
		*r.previous(r.load()) = previous
	}
}

// setNext makes next follow previous, which may be the name of a list.
func (x *expiry) setNext(previous, next Handle) {
	switch {
	case previous < listMarker:
		r := x.arena.record(previous)
		*r.next(r.load()) = next
	case int(previous-listMarker) < len(x.slots):
		x.slots[previous-listMarker].first = next
	default:
		x.ended[int(previous-listMarker)-len(x.slots)] = next
	}
}

// remove takes the record at h out of its list. The slot's sums are the
// caller's, see unaccount.
func (x *expiry) remove(h Handle) {
	r := x.arena.record(h)
	head := r.load()
	next, previous := *r.next(head), *r.previous(head)
	x.setNext(previous, next)
	x.setPrevious(next, previous)
}

// unaccount takes an item that leaves, or changes its queue, out of its slot's sums.
func (x *expiry) unaccount(h Handle, queue int, charge int64, digest uint64) {
	r := x.arena.record(h)
	ms, level := r.expiry(r.load())
	s := &x.slots[slotID(level, ms)]
	s.count[queue]--
	s.bytes[queue] -= charge
	s.sum -= digest
}

// moved makes the list that the record at old was in hold its copy at h.
func (x *expiry) moved(h Handle) {
	r := x.arena.record(h)
	head := r.load()
	x.setNext(*r.previous(head), h)
	x.setPrevious(*r.next(head), h)
}

// fire ends the slots that are due at nowMs and calls f with each.
func (x *expiry) fire(nowMs int64, f func(*expirySlot)) {
	if nowMs < x.nextMs {
		return
	}
	x.nextMs = math.MaxInt64
	for i := range x.slots {
		s := &x.slots[i]
		switch {
		case s.first == 0:
		case s.endMs <= nowMs:
			f(s)
			x.end(s.first)
			*s = expirySlot{}
		default:
			x.nextMs = min(x.nextMs, s.endMs)
		}
	}
}

// end adds the list of a slot that has ended.
func (x *expiry) end(first Handle) {
	at := len(x.ended)
	for i, h := range x.ended {
		if h == 0 {
			at = i
			break
		}
	}
	if at == len(x.ended) {
		if at == endedListsMax {
			panic("store: too many ended expiry slots")
		}
		x.ended = append(x.ended, 0)
	}
	x.ended[at] = first
	x.setPrevious(first, Handle(listMarker+len(x.slots)+at))
}

// nextEnded returns an item of a slot that has ended, or 0.
func (x *expiry) nextEnded() Handle {
	for len(x.ended) > 0 {
		if h := x.ended[len(x.ended)-1]; h != 0 {
			return h
		}
		x.ended = x.ended[:len(x.ended)-1]
	}
	return 0
}
