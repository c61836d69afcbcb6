package engine

const (
	// smallShare is the part of the memory limit that the small queue is to
	// take, one in so many.
	smallShare = 10

	// promoteFreq is the count of accesses with which an item goes from the small
	// queue to the main one rather than away.
	promoteFreq = 1

	// secondChancesMax is how many items of the main queue get another round
	// before one goes, however often it was accessed: eviction is bounded.
	secondChancesMax = 32

	// promotionsMax is how many items move on from the small queue for one
	// eviction, before the main queue gives one instead.
	promotionsMax = 32

	// What is stored moves at most so many times its charge, and movedBytesMin, to
	// the end of the main queue. That is what those counts come to where items
	// are about of one size. Where the small ones that go lie between large ones
	// that were accessed, what stays would be copied for hundreds of times as much.
	movedPerByte  = secondChancesMax
	movedBytesMin = 64 << 10

	// While the cache is over its limit because that was lowered, each item that
	// is stored evicts shrinkPerItem at least, and each entry shrinkPerEntry, for
	// which shrinkMovedBytes move at most.
	shrinkPerItem    = 256
	shrinkPerEntry   = 4096
	shrinkMovedBytes = 4 << 20
)

// Eviction is S3-FIFO (Yang et al., SOSP 2023) as a function of the log alone. A
// new item goes to the small queue, or to the main one if it was evicted from
// the small one a short while ago. What was accessed in the small queue moves on
// to the main queue, the rest goes. The main queue gives what was accessed
// another round, as long as the bytes that this copies are in proportion to what
// is stored. Accesses are what the log says: stores of the key, and the reads
// that nodes report as hints.

// smallBytes is the size at which the small queue is to give.
func (e *Engine) smallBytes() int64 { return e.limits.MemoryBytes / smallShare }

// makeRoom evicts until the items are within the limit. The item at keep stays.
func (e *Engine) makeRoom(keep handle, charge int64) {
	e.keep = keep
	defer func() { e.keep = 0 }()
	e.mayMove = movedBytesMin + movedPerByte*charge
	freed := int64(0)
	for n := 0; e.st.total() > e.limits.MemoryBytes; n++ {
		if n >= shrinkPerItem && freed >= 2*charge {
			return
		}
		before := e.st.total()
		if !e.evict() {
			return
		}
		freed += before - e.st.total()
		e.reuse()
	}
}

// shrink evicts for an entry while the cache is over its limit.
func (e *Engine) shrink() {
	e.mayMove = shrinkMovedBytes
	for n := 0; n < shrinkPerEntry && e.st.total() > e.limits.MemoryBytes; n++ {
		e.evict()
		e.reuse()
	}
}

// reuse takes back what eviction left empty, so that what moves finds its room
// there. It waits for the end of an operation whose result aliases a record.
func (e *Engine) reuse() {
	if !e.lent && len(e.st.retired) > 0 {
		e.st.reclaim()
	}
}

// evict takes one item out that is not at e.keep, and reports whether there was
// one.
func (e *Engine) evict() bool {
	for promoted := 0; ; promoted++ {
		small := e.st.peek(queueSmall)
		if small == e.keep {
			small = 0 // it was the last to come, so it is alone
		}
		main := e.mainHasOther()
		switch {
		case small == 0 && !main:
			return false
		case !main, small != 0 && promoted < promotionsMax && e.mayMove > 0 && e.st.bytes[queueSmall] > e.smallBytes():
			if e.evictSmall(small) {
				return true
			}
		default:
			e.evictMain()
			return true
		}
	}
}

// mainHasOther reports whether the main queue holds an item that is not at
// e.keep. That one may be the first of several: what the small queue gave came
// behind it.
func (e *Engine) mainHasOther() bool {
	h := e.st.peek(queueMain)
	if h == 0 || h != e.keep {
		return h != 0
	}
	r := e.st.arena.record(h)
	return e.st.bytes[queueMain] > chargeOf(r.sizeBytes(r.load()))
}

// evictSmall lets the first item of the small queue go, or moves it on to the
// main queue.
func (e *Engine) evictSmall(h handle) (gone bool) {
	r := e.st.arena.record(h)
	head := r.load()
	hash := hashKey(r.key(head))
	if e.st.alive(r, head) && head&freqMask >= promoteFreq {
		e.note(eventPromote, hash)
		e.move(hash, h, r.sizeBytes(head), 0)
		return false
	}
	if e.st.alive(r, head) {
		e.ghosts.add(hash)
	}
	e.drop(hash, h, r, head)
	return true
}

// evictMain lets the first item of the main queue go that was not accessed and is
// not at e.keep. There is another than that one.
func (e *Engine) evictMain() {
	for n := 0; ; n++ {
		h := e.st.peek(queueMain)
		r := e.st.arena.record(h)
		head := r.load()
		hash := hashKey(r.key(head))
		if freq := head & freqMask; e.st.alive(r, head) && (h == e.keep || freq > 0 && n < secondChancesMax && e.mayMove > 0) {
			e.note(eventSecondChance, hash)
			moved := e.move(hash, h, r.sizeBytes(head), max(freq, 1)-1)
			if h == e.keep {
				e.keep = moved
			}
			continue
		}
		e.drop(hash, h, r, head)
		return
	}
}

// move puts an item of the given size at the end of the main queue, see
// store.move.
func (e *Engine) move(hash uint64, h handle, size int, freq uint32) handle {
	e.mayMove -= chargeOf(size)
	return e.st.move(hash, h, queueMain, freq)
}

// drop removes an item that has to go, or has expired.
func (e *Engine) drop(hash uint64, h handle, r record, head uint32) {
	if e.st.alive(r, head) {
		e.evictions++
		if e.st.untouched(h, head) {
			e.unfetched.evicted++
		}
		e.evictedAfter = e.st.timeMs.Load() - e.st.segmentOf(h).bornMs
		e.note(eventEvict, hash)
	} else {
		e.expired++
	}
	e.st.remove(hash, h)
}

// queueFor returns the queue for an item that is stored in the place of f.
func (e *Engine) queueFor(f *found) int {
	if f.alive {
		return queueMain // it was asked for again
	}
	if e.ghosts.take(f.hash, uint64(e.st.count)) {
		return queueMain
	}
	return queueSmall
}

// The events that the digest of the queues covers.
const (
	eventStore = iota + 1
	eventPromote
	eventSecondChance
	eventEvict
	eventHint
)

// note takes an event into the digest of the queues.
func (e *Engine) note(event, hash uint64) { e.events = mix(e.events ^ hash*8 ^ event) }
