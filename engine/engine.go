package engine

import (
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

const (
	// clearPerEntry and clearPerOp bound the expired records that are cleared
	// away for each entry and for each operation, besides those for its bytes.
	clearPerEntry = 1024
	clearPerOp    = 8

	// tidyRecords and tidyBytes bound one call of Tidy.
	tidyRecords = 512
	tidyBytes   = 128 << 10

	// yieldsMax is how often readers are waited for when the arena is full: they
	// are done in microseconds, or when the system lets them run again.
	yieldsMax = 1 << 20

	// hintShare: hints are wanted once the cache is nine tenths full.
	hintNumerator, hintDenominator = 9, 10

	// memoryLimitMin is the lowest memory limit, as in memcached.
	memoryLimitMin = 8 << 20

	// raiseMax is how many times the limit of the formation may be reached later,
	// and raiseFree what may always be.
	raiseMax  = 2
	raiseFree = 512 << 20
)

// Limits are the same on all nodes of a cluster.
type Limits struct {
	MemoryBytes  int64 // sum of the charges of all items
	ItemBytesMax int   // size of one item, as memcached counts it
	NoEvict      bool  // answer StatusOutOfMemory rather than evict
}

// Engine is the state. See the package comment for who may call what.
type Engine struct {
	initial Limits // those with which New was called, for Formation
	epochs  epochs
	store   atomic.Pointer[store] // for readers

	// Written by the applier, read by any goroutine.
	formed  atomic.Bool
	hinting atomic.Bool
	nextDue atomic.Int64
	stats   [statCount]atomic.Int64

	// The applier's.
	st           *store
	ghosts       ghosts
	keep         handle // item that eviction must not take
	mayMove      int64  // bytes of items that may move on before one must go
	lent         bool   // the operation's result aliases a record that it replaced
	image        *Image // being written, or nil
	old          []oldStore
	closing      sync.WaitGroup
	limits       Limits
	layout       layout
	formedBytes  int64  // memory limit at the formation
	mutations    uint64 // gives the cas unique
	pendingFlush int64  // when a delayed flush_all fires, ms; 0: none is pending
	totalItems   int64
	evictions    int64
	expired      int64
	unfetched    unfetched
	evictedAfter int64  // how long what was evicted last had been in its queue, ms
	events       uint64 // digest of what happened in the queues
	stored       int64  // charged since the last tidy
	blanks       []byte // for padding numbers
}

// oldStore is a store that was replaced and that readers may still be in.
type oldStore struct {
	store *store
	epoch uint64
}

// New returns an empty engine. Close gives its memory back.
func New(l Limits) (*Engine, error) { return newWithRoom(l, 0) }

// newWithRoom returns an engine whose index has room for count items.
func newWithRoom(l Limits, count int) (*Engine, error) {
	e := &Engine{initial: l, limits: l, formedBytes: l.MemoryBytes, layout: layoutFor(l.MemoryBytes), ghosts: newGhosts(l.MemoryBytes)}
	e.epochs.init()
	st, err := newStore(l.MemoryBytes, count, e.layout, &e.epochs)
	if err != nil {
		return nil, err
	}
	e.become(st)
	e.publish()
	return e, nil
}

// Close gives the memory back. Nothing else may be called any more.
func (e *Engine) Close() {
	e.closing.Wait()
	for _, o := range e.old {
		o.store.close()
	}
	e.st.close()
	e.ghosts.close()
}

// become makes st what readers see. The store before is given back when no
// reader is in it.
func (e *Engine) become(st *store) {
	e.abortImage()
	before := e.st
	e.st = st
	st.squeeze = e.squeeze
	e.store.Store(st)
	if before != nil {
		e.old = append(e.old, oldStore{before, e.epochs.retire()})
	}
}

// squeeze takes back all that is not in use when the arena is full: what the
// image keeps, which is given up, and what readers may be in, for which it waits.
func (e *Engine) squeeze() {
	if e.image != nil {
		e.image.giveUp()
	}
	for n := 0; n < yieldsMax && !e.lent && len(e.st.retired) > 0; n++ {
		if e.st.reclaim(); len(e.st.retired) > 0 {
			runtime.Gosched()
		}
	}
}

// closeOld gives back stores that were replaced. It takes the kernel long, so
// another goroutine waits for that.
func (e *Engine) closeOld() {
	for len(e.old) > 0 && e.epochs.passed(e.old[0].epoch) {
		st := e.old[0].store
		e.old = e.old[1:]
		e.closing.Go(st.close)
	}
}

// Advance moves the time to stampMs, or leaves it if it is later already, and
// does a bounded part of what is due: it ends expiry slots, fires a delayed
// flush_all, and evicts if the limit was lowered.
func (e *Engine) Advance(stampMs int64) {
	if stampMs > e.st.timeMs.Load() {
		e.st.timeMs.Store(stampMs)
	}
	e.st.expiry.fire(e.st.timeMs.Load(), e.endSlot)
	if e.pendingFlush != 0 && e.pendingFlush <= e.st.timeMs.Load() {
		e.pendingFlush = 0
		e.clear()
	}
	e.shrink()
	e.st.clearDead(clearPerEntry)
	e.tidy(0)
	e.publish()
}

// endSlot takes the items of an expiry slot out of the accounts.
func (e *Engine) endSlot(s *expirySlot) {
	if e.hinting.Load() { // as of the last entry, while reads are told of
		e.unfetched.expired += s.unfetched
	}
	for q := range queueCount {
		e.st.count -= s.count[q]
		e.st.bytes[q] -= s.bytes[q]
		e.expired += s.count[q]
	}
	e.st.sum -= s.sum
}

// Tidy does a part of the local housekeeping, for a fraction of a millisecond,
// and reports whether there is more: what has expired is cleared away, segments
// with many holes are merged. It changes nothing that anyone can see, so the
// applier calls it when it has nothing to apply.
func (e *Engine) Tidy() (more bool) {
	e.st.clearDead(tidyRecords)
	e.st.compactSome(tidyBytes)
	e.st.reclaim()
	e.closeOld()
	return e.st.expiry.nextDead() != 0 || e.st.compact.from != nil
}

// tidy does a part of the same, more of it the more was stored.
func (e *Engine) tidy(storedBytes int64) {
	e.st.clearDead(clearPerOp + int(storedBytes>>8))
	e.st.compactSome(1024 + 4*int(storedBytes))
	e.st.reclaim()
	e.closeOld()
}

// clear removes all items, in the time that it takes to make an empty store.
func (e *Engine) clear() {
	if e.st.live == 0 {
		return
	}
	st, err := newStore(e.formedBytes, 0, e.layout, &e.epochs)
	if err != nil {
		panic("engine: " + err.Error()) // real exhaustion of memory ends the process
	}
	st.timeMs.Store(e.st.timeMs.Load())
	e.become(st)
}

// publish makes the numbers that other goroutines read those of the state.
func (e *Engine) publish() {
	due := int64(math.MaxInt64)
	if e.pendingFlush != 0 {
		due = e.pendingFlush
	}
	due = min(due, e.st.expiry.nextMs)
	if e.st.total() > e.limits.MemoryBytes {
		due = e.st.timeMs.Load()
	}
	e.nextDue.Store(due)
	e.hinting.Store(e.st.total() >= e.limits.MemoryBytes/hintDenominator*hintNumerator && !e.limits.NoEvict)
	e.publishStats()
}

// TimeMs is the engine's time: the latest stamp, ms of Unix time. The applier
// may call it.
func (e *Engine) TimeMs() int64 { return e.st.timeMs.Load() }

// NextDueMs is the time at which something changes by itself: items expire, a
// delayed flush_all fires, or the limit is exceeded because it was lowered. It
// is math.MaxInt64 if nothing will.
func (e *Engine) NextDueMs() int64 { return e.nextDue.Load() }

// SizeBytes estimates the size of an image.
func (e *Engine) SizeBytes() int64 { return e.stats[statBytes].Load() }

// Digest is equal on engines of equal state, in two parts. The first covers the
// items, as a sum in which their order does not matter, the time and what is
// pending; an image's is computed anew from its items. The second covers the
// order of the queues: what has happened in them, and the ghosts.
func (e *Engine) Digest() (contents, order uint64) {
	return digestWords(
			e.st.sum, uint64(e.st.timeMs.Load()), e.mutations, uint64(e.pendingFlush), uint64(e.st.count),
			uint64(e.st.bytes[queueSmall]), uint64(e.st.bytes[queueMain]), uint64(e.limits.MemoryBytes),
			uint64(e.totalItems), uint64(e.evictions), uint64(e.expired),
			uint64(e.unfetched.evicted), uint64(e.unfetched.expired)),
		digestWords(e.events, e.ghosts.sum, e.ghosts.made)
}

func digestWords(words ...uint64) uint64 {
	b := make([]byte, 0, 104)
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return xxhash.Sum64(b)
}
