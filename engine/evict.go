package engine

import "raftcached/engine/store"

const (
	// smallShare: the small queue is to take 1/smallShare of the memory limit.
	smallShare = 10

	// promoteFreq is the count of accesses from which an item is promoted from the
	// small queue to the main one instead of being evicted.
	promoteFreq = 1

	// secondChancesMax is how many items of the main queue get another round before
	// one is evicted, however often it was accessed: eviction is bounded.
	secondChancesMax = 32

	// promotionsMax is how many items are promoted for one eviction before an item of
	// the main queue is evicted instead.
	promotionsMax = 32

	// To store an item moves at most movedPerByte times its charge, and movedBytesMin,
	// to the end of the main queue. Where items are of about one size, that is what
	// the counts above come to. Without it, small items that are evicted from between
	// large ones that were accessed would cost copies of hundreds of times their size.
	movedPerByte  = secondChancesMax
	movedBytesMin = 64 << 10

	// While the cache is over its limit because that was lowered, each item that is
	// stored evicts at least shrinkPerItem, and each entry shrinkPerEntry, for which at
	// most shrinkMovedBytes move.
	shrinkPerItem    = 256
	shrinkPerEntry   = 4096
	shrinkMovedBytes = 4 << 20
)

// Eviction is S3-FIFO (Yang et al., SOSP 2023) as a function of the log alone. A new
// item goes to the small queue, or to the main one if it was evicted from the small
// queue a short while ago. An item of the small queue that was accessed is promoted to
// the main queue, the others are evicted. An item of the main queue that was accessed
// gets another round, as long as the bytes that this copies are in proportion to what
// is stored. Accesses are what the log reports: stores of the key, and the reads that
// nodes report as hints.

// smallBytes is the size up to which the small queue may grow.
func (e *Engine) smallBytes() int64 { return e.limits.MemoryBytes / smallShare }

// makeRoom evicts until the items are within the limit. The item at keep stays.
func (e *Engine) makeRoom(keep store.Handle, charge int64) {
	e.keep = keep
	defer func() { e.keep = 0 }()
	e.mayMove = movedBytesMin + movedPerByte*charge
	freed := int64(0)
	for n := 0; e.st.Total() > e.limits.MemoryBytes; n++ {
		if n >= shrinkPerItem && freed >= 2*charge {
			return
		}
		before := e.st.Total()
		if !e.evict() {
			return
		}
		freed += before - e.st.Total()
		e.free()
	}
}

// shrink evicts for an entry while the cache is over its limit.
func (e *Engine) shrink() {
	e.mayMove = shrinkMovedBytes
	for n := 0; n < shrinkPerEntry && e.st.Total() > e.limits.MemoryBytes; n++ {
		e.evict()
		e.free()
	}
}

// free frees the memory that eviction has left empty, so that items which move find
// room there. Not before the end of an operation whose result aliases a record.
func (e *Engine) free() {
	if !e.lent && e.st.Retired() {
		e.st.Free()
	}
}

// evict evicts one item that is not at e.keep, or unlinks one that has expired, and
// reports whether there was one.
func (e *Engine) evict() bool {
	for promoted := 0; ; promoted++ {
		small := e.st.First(store.QueueSmall)
		hasSmall := small.Exists() && small.Handle() != e.keep // the one to keep was the last to come: it is alone
		main := e.mainHasOther()
		switch {
		case !hasSmall && !main:
			return false
		case !main, hasSmall && promoted < promotionsMax && e.mayMove > 0 && e.st.Bytes(store.QueueSmall) > e.smallBytes():
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
// e.keep. That one may be the first of several: items that were promoted from the
// small queue follow it.
func (e *Engine) mainHasOther() bool {
	r := e.st.First(store.QueueMain)
	if !r.Exists() || r.Handle() != e.keep {
		return r.Exists()
	}
	return e.st.Bytes(store.QueueMain) > r.Charge()
}

// evictSmall evicts the first item of the small queue, or promotes it to the main
// queue.
func (e *Engine) evictSmall(r store.Ref) (evicted bool) {
	hash := e.st.Hash(r.Key())
	if e.st.Alive(r) && r.Freq() >= promoteFreq {
		e.note(eventPromote, hash)
		e.moveToMain(hash, r, 0)
		return false
	}
	if e.st.Alive(r) {
		e.ghosts.add(hash)
	}
	e.evictOrExpire(hash, r)
	return true
}

// evictMain evicts the first item of the main queue that was not accessed and is
// not at e.keep. There is another than that one.
func (e *Engine) evictMain() {
	for n := 0; ; n++ {
		r := e.st.First(store.QueueMain)
		hash := e.st.Hash(r.Key())
		kept := r.Handle() == e.keep
		if freq := r.Freq(); e.st.Alive(r) && (kept || freq > 0 && n < secondChancesMax && e.mayMove > 0) {
			e.note(eventSecondChance, hash)
			moved := e.moveToMain(hash, r, max(freq, 1)-1)
			if kept {
				e.keep = moved
			}
			continue
		}
		e.evictOrExpire(hash, r)
		return
	}
}

// moveToMain moves an item to the end of the main queue and returns its new handle.
func (e *Engine) moveToMain(hash uint64, r store.Ref, freq uint32) store.Handle {
	e.mayMove -= r.Charge()
	return e.st.Move(hash, r.Handle(), store.QueueMain, freq)
}

// evictOrExpire unlinks an item and counts it as evicted, or as expired if it has.
func (e *Engine) evictOrExpire(hash uint64, r store.Ref) {
	if e.st.Alive(r) {
		e.counts.Evictions++
		if e.st.Unfetched(r) {
			e.counts.EvictedUnfetched++
		}
		e.evictedAfter = e.st.NowMs() - e.st.QueuedMs(r)
		e.note(eventEvict, hash)
	} else {
		e.counts.Expired++
	}
	e.st.Unlink(hash, r.Handle())
}

// queueFor returns the queue for an item that is stored in the place of f.
func (e *Engine) queueFor(f *store.Place) int {
	if f.Alive {
		return store.QueueMain // it was asked for again
	}
	if e.ghosts.recall(f.Hash, uint64(e.st.Count())) {
		return store.QueueMain
	}
	return store.QueueSmall
}

// The events that the digest of the queues covers.
const (
	eventStore = iota + 1
	eventPromote
	eventSecondChance
	eventEvict
	eventHint
	eventFill
)

// note adds an event to the digest of the queues.
func (e *Engine) note(event, hash uint64) { e.events = mix(e.events ^ hash*8 ^ event) }
