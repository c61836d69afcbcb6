package engine

import (
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"raftcached/engine/store"
)

const (
	// clearPerEntry and clearPerOp bound the expired items that are unlinked for each
	// entry and for each operation, besides those for its bytes.
	clearPerEntry = 1024
	clearPerOp    = 8

	// clearPerBytes is the least that an item is charged that expires. One expired
	// item is unlinked for each so many bytes that are stored. So all of them are
	// unlinked when as much has been stored as they were charged, before the memory
	// is full and eviction, which would have to unlink them, begins.
	clearPerBytes = store.ExpiringChargeMin

	// clearedMax is the number of items up to which a flush_all unlinks them one by
	// one, and clearedBytesMax their size. Beyond that it replaces the store: that
	// takes milliseconds, to reserve and release address space, which is no more than
	// it took to store so much.
	clearedMax      = 4096
	clearedBytesMax = 8 << 20

	// tidyRecords and tidyBytes bound one call of Tidy.
	tidyRecords = 512
	tidyBytes   = 128 << 10

	// yieldsMax is how often the applier yields to readers when the memory is
	// exhausted. They are done in microseconds, or when the system runs them again.
	yieldsMax = 1 << 20

	// Readers give hints once hintNumerator/hintDenominator of the memory limit is used.
	hintNumerator, hintDenominator = 9, 10

	// memoryLimitMin is the lowest memory limit, as in memcached.
	memoryLimitMin = 8 << 20
)

// Limits are the same on all nodes of a cluster.
type Limits struct {
	MemoryBytes  int64 // sum of the charges of all items
	ItemBytesMax int   // size of one item, as memcached counts it
	NoEvict      bool  // answer StatusOutOfMemory rather than evict
}

// Engine is the state. See the package comment for who may call what.
type Engine struct {
	initial Limits     // those with which New was called, for Formation
	seed    store.Seed // that of Propose, likewise
	current store.Current

	// Written by the applier, read by any goroutine.
	formed  atomic.Bool
	hinting atomic.Bool
	nextDue atomic.Int64
	flushAt atomic.Int64  // pendingFlush; 0 only after its items are gone
	hides   atomic.Uint64 // see hide
	offset  atomic.Int64  // see OffsetMs

	statsMu   sync.Mutex // held for a copy only
	published Stats

	// The applier's.
	st           *store.Store // the current one
	ghosts       ghosts
	keep         store.Handle // item that eviction must not take
	mayMove      int64        // bytes of items that may move on before one must go
	lent         bool         // the operation's result aliases a record that it replaced
	image        *Image       // being written, or nil
	limits       Limits
	layout       store.Layout
	formedBytes  int64  // memory limit at the formation
	mutations    uint64 // gives the cas unique
	pendingFlush int64  // when a delayed flush_all fires, ms; 0: none is pending
	fill         fill
	results      resultLedger
	counts       Counts
	evictedAfter int64  // how long the item that was evicted last had been in its queue, ms
	events       uint64 // digest of what happened in the queues
	stored       int64  // charged since the last tidy
	blanks       []byte // for padding numbers
}

// New returns an empty engine. Close releases its memory.
func New(l Limits) (*Engine, error) { return newWithLayout(l, store.LayoutFor(l.MemoryBytes), 0, 0) }

// newWithLayout returns an engine with a layout of memory, whose index has room for count
// items.
func newWithLayout(l Limits, layout store.Layout, count int, seed store.Seed) (*Engine, error) {
	e := &Engine{initial: l, limits: l, formedBytes: l.MemoryBytes, layout: layout, ghosts: newGhosts(l.MemoryBytes), results: resultLedger{max: resultBytesMax}}
	e.current.Init()
	st, err := store.New(l.MemoryBytes, layout, count, seed)
	if err != nil {
		return nil, err
	}
	e.become(st)
	e.publish()
	return e, nil
}

// Close releases the memory. Nothing else may be called any more.
func (e *Engine) Close() {
	e.current.Close()
	e.ghosts.close()
}

// become makes st the store that readers use.
func (e *Engine) become(st *store.Store) {
	e.abortImage()
	e.st = st
	st.OnFull = e.freeAll
	e.current.Replace(st)
}

// freeAll frees all memory that is not in use, because there is none left: it gives
// up the image with what is kept for it, and waits for readers.
func (e *Engine) freeAll() {
	if e.image != nil {
		e.image.giveUp()
	}
	for n := 0; n < yieldsMax && !e.lent && e.st.Retired(); n++ {
		if e.st.Free(); e.st.Retired() {
			runtime.Gosched()
		}
	}
}

// Advance moves the time to stampMs, or leaves it if it is later already, and
// does a bounded part of what is due: it ends expiry slots, fires a delayed
// flush_all, and evicts if the limit was lowered.
func (e *Engine) Advance(stampMs int64) {
	if stampMs > e.st.NowMs() {
		e.st.SetNowMs(stampMs)
	}
	e.expire()
	if e.pendingFlush != 0 && e.pendingFlush <= e.st.NowMs() {
		e.pendingFlush = 0
		e.clear()
	}
	e.shrink()
	e.st.UnlinkExpired(clearPerEntry)
	e.tidy(0)
	e.publish()
}

// expire takes the items of the expiry slots that are due out of the sums.
func (e *Engine) expire() {
	expired, unfetched := e.st.ExpireSlots()
	e.counts.Expired += expired
	if e.hinting.Load() { // as of the last entry, while the log tells of reads
		e.counts.ExpiredUnfetched += unfetched
	}
}

// Tidy does a part of the local housekeeping, for a fraction of a millisecond,
// and reports whether there is more: expired items are unlinked, segments with many
// holes are merged. Nobody can see it, so the applier calls it when it has nothing to
// apply.
func (e *Engine) Tidy() (more bool) {
	e.st.UnlinkExpired(tidyRecords)
	e.st.Compact(tidyBytes)
	e.st.Free()
	e.current.Release()
	return !e.st.Tidied()
}

// tidy does a part of the same, more of it the more was stored.
func (e *Engine) tidy(storedBytes int64) {
	e.st.UnlinkExpired(clearPerOp + int(storedBytes/clearPerBytes))
	e.st.Compact(1024 + 4*int(storedBytes))
	e.st.Free()
	e.current.Release()
}

// clear does an immediate flush_all: it unlinks few items one by one, and replaces the
// store if there are many.
func (e *Engine) clear() {
	if e.st.Linked() <= clearedMax && e.st.LiveBytes() <= clearedBytesMax {
		e.st.UnlinkAll()
		return
	}
	if !e.replaceStore(e.formedBytes, e.st.Seed()) { // there is no address space for two stores
		e.st.UnlinkAll()
	}
}

// replaceStore makes an empty store for a memory limit the current one, or reports
// that there is no memory for it.
func (e *Engine) replaceStore(limit int64, seed store.Seed) (done bool) {
	st, err := store.New(limit, e.layout, 0, seed)
	if err != nil {
		return false
	}
	st.SetNowMs(e.st.NowMs())
	e.become(st)
	return true
}

// publish makes the numbers that other goroutines read those of the state.
func (e *Engine) publish() {
	due := int64(math.MaxInt64)
	if e.pendingFlush != 0 {
		due = e.pendingFlush
	}
	due = min(due, e.st.NextExpiryMs())
	if e.st.Total() > e.limits.MemoryBytes {
		due = e.st.NowMs()
	}
	e.nextDue.Store(due)
	e.flushAt.Store(e.pendingFlush)
	e.hinting.Store(e.st.Total() >= e.limits.MemoryBytes/hintDenominator*hintNumerator && !e.limits.NoEvict)
	e.publishStats()
}

// TimeMs is the engine's time: the latest stamp, ms of Unix time. The applier
// may call it.
func (e *Engine) TimeMs() int64 { return e.st.NowMs() }

// NextDueMs is the time at which something changes by itself: items expire, a
// delayed flush_all fires, or the limit is exceeded because it was lowered. It
// is math.MaxInt64 if nothing will.
func (e *Engine) NextDueMs() int64 { return e.nextDue.Load() }

// SizeBytes estimates the size of an image.
func (e *Engine) SizeBytes() int64 { return e.Stats().Bytes }

// Digest is equal on engines of equal state, in two parts. The first covers the
// items, as a sum in which their order does not matter, the time and what is
// pending; Restore computes it again from the items of an image. The second covers the
// order of the queues: what has happened in them, and the ghosts.
func (e *Engine) Digest() (contents, order uint64) {
	words := [...]uint64{
		e.st.Sum(), uint64(e.st.NowMs()), e.mutations, uint64(e.pendingFlush), uint64(e.st.Count()),
		uint64(e.st.Bytes(store.QueueSmall)), uint64(e.st.Bytes(store.QueueMain)), uint64(e.limits.MemoryBytes),
	}
	b := make([]byte, 0, 8*(len(words)+countsCount))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	for _, n := range e.counts.fields() {
		b = binary.LittleEndian.AppendUint64(b, uint64(*n))
	}
	if e.fill.id != 0 {
		b = e.fill.append(b)
	}
	if seed := e.st.Seed(); seed != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(seed))
	}
	if ms := e.OffsetMs(); ms != 0 {
		b = append(b, "offset"...)
		b = binary.LittleEndian.AppendUint64(b, uint64(ms))
	}
	contents = xxhash.Sum64(b)
	b = binary.LittleEndian.AppendUint64(b[:0], e.events)
	b = binary.LittleEndian.AppendUint64(b, e.ghosts.sum)
	b = binary.LittleEndian.AppendUint64(b, e.ghosts.made)
	return contents, xxhash.Sum64(b)
}
