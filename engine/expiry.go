package engine

import (
	"math"
	"math/bits"
)

const (
	// levelCount levels of slots, each twice as coarse as the one before, reach
	// further than the 31 bits of seconds that an expiry has.
	levelCount = 28

	// levelSlots is more than the slots of one level that are in use at a time: an
	// item's slot ends at most 64 slots' lengths after the item was stored.
	levelSlots = 128

	// slotMs is the length of a slot of the finest level.
	slotMs = 1000

	// shareShift says how coarse a slot may be: at most 1/32 of the time to live.
	shareShift = 5

	// listMarker is the first of the values that name a list instead of a record.
	listMarker = 0xffff0000

	deadListsMax = int(math.MaxUint32-listMarker) - levelCount*levelSlots
)

// expirySlot gathers the items that expire within the same stretch of time. When
// it ends they all leave the accounts at once, which is the same on every node
// whatever the order of its lists; the records are cleared away bit by bit.
type expirySlot struct {
	endMs int64 // a multiple of the level's slot length, ms of Unix time
	first handle
	count [queueCount]int64
	bytes [queueCount]int64
	sum   uint64 // of the items' digests

	unfetched int64 // items that are store.untouched
}

// expiry holds the slots. An expired item is a miss from its very millisecond
// on; it is charged until its slot ends: at most a second, or a 32nd of its time
// to live, longer.
type expiry struct {
	arena  *arena
	slots  [levelCount * levelSlots]expirySlot
	nextMs int64 // no slot with items ends before

	// dead are the lists of slots that have ended; their records are to be
	// cleared away.
	dead []handle
}

// levelFor returns the level for an item that is stored at nowMs.
func levelFor(nowMs, expiryMs int64) uint8 {
	ttl := max(0, expiryMs-nowMs)
	return uint8(bits.Len64(uint64(ttl/(slotMs<<shareShift)) >> 1))
}

// slotEnd returns when the slot of an expiry ends.
func slotEnd(level uint8, expiryMs int64) int64 {
	length := int64(slotMs) << level
	return (expiryMs + length - 1) / length * length
}

func slotID(level uint8, expiryMs int64) int {
	length := int64(slotMs) << level
	return int(level)*levelSlots + int((expiryMs+length-1)/length%levelSlots)
}

// add puts the record at h, which expires, into its slot.
func (x *expiry) add(h handle, queue int, charge int64, digest uint64) {
	r := x.arena.record(h)
	head := r.load()
	ms, level := r.expiry(head)
	id := slotID(level, ms)
	s := &x.slots[id]
	s.endMs = slotEnd(level, ms)
	x.nextMs = min(x.nextMs, s.endMs)
	s.count[queue]++
	s.bytes[queue] += charge
	s.sum += digest
	x.push(&s.first, handle(listMarker+id), h)
}

// push makes h the first of the list named marker.
func (x *expiry) push(first *handle, marker, h handle) {
	r := x.arena.record(h)
	head := r.load()
	*r.next(head), *r.previous(head) = *first, marker
	x.setPrevious(*first, h)
	*first = h
}

func (x *expiry) setPrevious(h, previous handle) {
	if h != 0 {
		r := x.arena.record(h)
		*r.previous(r.load()) = previous
	}
}

// setNext makes next follow previous, which may be the name of a list.
func (x *expiry) setNext(previous, next handle) {
	switch {
	case previous < listMarker:
		r := x.arena.record(previous)
		*r.next(r.load()) = next
	case int(previous-listMarker) < len(x.slots):
		x.slots[previous-listMarker].first = next
	default:
		x.dead[int(previous-listMarker)-len(x.slots)] = next
	}
}

// unlink takes the record at h out of its list. The slot's sums are the
// caller's, see drop.
func (x *expiry) unlink(h handle) {
	r := x.arena.record(h)
	head := r.load()
	next, previous := *r.next(head), *r.previous(head)
	x.setNext(previous, next)
	x.setPrevious(next, previous)
}

// drop takes an item that leaves, or changes its queue, out of its slot's sums.
func (x *expiry) drop(h handle, queue int, charge int64, digest uint64) {
	r := x.arena.record(h)
	ms, level := r.expiry(r.load())
	s := &x.slots[slotID(level, ms)]
	s.count[queue]--
	s.bytes[queue] -= charge
	s.sum -= digest
}

// moved makes the list that the record at old was in hold its copy at h.
func (x *expiry) moved(h handle) {
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
			x.bury(s.first)
			*s = expirySlot{}
		default:
			x.nextMs = min(x.nextMs, s.endMs)
		}
	}
}

// bury adds a list of records that are to be cleared away.
func (x *expiry) bury(first handle) {
	at := len(x.dead)
	for i, h := range x.dead {
		if h == 0 {
			at = i
			break
		}
	}
	if at == len(x.dead) {
		if at == deadListsMax {
			panic("engine: too many ended expiry slots")
		}
		x.dead = append(x.dead, 0)
	}
	x.dead[at] = first
	x.setPrevious(first, handle(listMarker+len(x.slots)+at))
}

// nextDead returns a record that is to be cleared away, or 0.
func (x *expiry) nextDead() handle {
	for len(x.dead) > 0 {
		if h := x.dead[len(x.dead)-1]; h != 0 {
			return h
		}
		x.dead = x.dead[:len(x.dead)-1]
	}
	return 0
}
