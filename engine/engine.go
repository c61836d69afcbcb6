package engine

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

const (
	// shardCount is the number of locks that readers spread over.
	shardCount = 256
	shardShift = 64 - 8

	// reclaimItemsMax is how many expired and how many flushed items one entry
	// removes at the most: apply never stalls on a mass expiry, and does the
	// same on every node.
	reclaimItemsMax = 256
)

// Limits are the same on all nodes of a cluster.
type Limits struct {
	MemoryBytes  int64 // sum of the charges of all items
	ItemBytesMax int   // charge of one item; half of MemoryBytes at the most
	NoEvict      bool  // answer StatusOutOfMemory rather than evict
}

// Stats are counts of the replicated state.
type Stats struct {
	CurrItems, TotalItems, Bytes, Evictions, Expired, LimitMaxBytes int64
}

// Engine is the state. See the package comment for who may call what.
//
// Invariant: an item is alive if its order is beyond horizon and its expiry, if
// any, is after the engine's time; everything else is a miss, whether or not it
// was removed yet.
type Engine struct {
	limits Limits
	shards [shardCount]shard

	// Written by the applier, read by readers.
	timeMs  atomic.Int64
	horizon atomic.Uint64 // items of this order or before were flushed
	nextDue atomic.Int64
	stats   [5]atomic.Int64 // as last published, in the order of Stats

	state
}

type shard struct {
	mu    sync.RWMutex
	items map[string]*item
	_     [24]byte // two shards to a pair of cache lines
}

// state is what the applier alone touches.
type state struct {
	queue        queue
	expiry       expiryHeap
	mutations    uint64 // numbers the cas unique and the queue
	pendingFlush int64  // when a delayed flush_all fires, ms; 0: none is pending
	bytes        int64
	count        int64
	total        int64
	evictions    int64
	expired      int64
	sum          uint64 // of the items' digests
}

// New returns an empty engine.
func New(l Limits) *Engine {
	e := &Engine{limits: l}
	for i := range e.shards {
		e.shards[i].items = make(map[string]*item)
	}
	e.queue.init()
	e.publish()
	return e
}

func (e *Engine) shard(key []byte) *shard { return &e.shards[xxhash.Sum64(key)>>shardShift] }

// View calls f with dst, the key and the item and returns what f returns, or
// reports false for a miss. The item is valid until f returns; f may be called
// under a lock that the applier waits for: it formats, no more.
func (e *Engine) View(dst, key []byte, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	s := e.shard(key)
	s.mu.RLock()
	it, ok := s.items[string(key)]
	ok = ok && e.alive(it) // under the lock: Restore changes the time together with the items
	s.mu.RUnlock()
	if !ok {
		return dst, false
	}
	return f(dst, key, Item{Flags: it.flags, CAS: it.cas, Value: it.value()}), true
}

func (e *Engine) alive(it *item) bool {
	return it.order > e.horizon.Load() && (it.expiryMs == 0 || it.expiryMs > e.timeMs.Load())
}

// find returns the live item of key, or nil.
func (e *Engine) find(key []byte) *item {
	// The applier is the only writer: it reads without the lock.
	if it := e.shard(key).items[string(key)]; it != nil && e.alive(it) {
		return it
	}
	return nil
}

// insert publishes it, in the place of what has its key, if anything: a reader
// finds the one or the other.
func (e *Engine) insert(it *item) {
	e.queue.push(it)
	e.expiry.add(it)
	e.count++
	e.bytes += it.charge()
	e.sum += it.digest
	s := e.shard(it.key())
	s.mu.Lock()
	s.items[it.keyString()] = it
	s.mu.Unlock()
}

// unlink takes the item out of everything but the sight of readers.
func (e *Engine) unlink(it *item) {
	e.queue.remove(it)
	e.expiry.drop(it)
	e.count--
	e.bytes -= it.charge()
	e.sum -= it.digest
}

// remove takes the item out.
func (e *Engine) remove(it *item) {
	s := e.shard(it.key())
	s.mu.Lock()
	delete(s.items, it.keyString())
	s.mu.Unlock()
	e.unlink(it)
}

// substitute publishes it in the place of old, which has the same key and
// charge and keeps its place in the queue.
func (e *Engine) substitute(old, it *item) {
	e.queue.swap(old, it)
	e.expiry.drop(old)
	e.expiry.add(it)
	e.sum += it.digest - old.digest
	s := e.shard(it.key())
	s.mu.Lock()
	s.items[it.keyString()] = it
	s.mu.Unlock()
}

// Advance moves the time to stampMs, or leaves it if it is later already, and
// does a bounded part of what is due: it fires a delayed flush_all, and removes
// flushed and expired items.
func (e *Engine) Advance(stampMs int64) {
	if stampMs > e.timeMs.Load() {
		e.timeMs.Store(stampMs)
	}
	if e.pendingFlush != 0 && e.pendingFlush <= e.timeMs.Load() {
		e.pendingFlush = 0
		e.horizon.Store(e.mutations)
	}
	for n := 0; n < reclaimItemsMax && e.removeFlushed(); n++ {
	}
	for n := 0; n < reclaimItemsMax && e.removeExpired(); n++ {
	}
	e.publish()
}

// removeFlushed removes one flushed item; they are the first of the queue.
func (e *Engine) removeFlushed() bool {
	it := e.queue.oldest()
	if it == nil || it.order > e.horizon.Load() {
		return false
	}
	e.remove(it)
	return true
}

// removeExpired removes one expired item.
func (e *Engine) removeExpired() bool {
	if len(e.expiry) == 0 || e.expiry[0].expiryMs > e.timeMs.Load() {
		return false
	}
	e.remove(e.expiry[0])
	e.expired++
	return true
}

// publish makes the numbers that other goroutines read those of the state.
func (e *Engine) publish() {
	due := int64(math.MaxInt64)
	if e.pendingFlush != 0 {
		due = e.pendingFlush
	}
	if len(e.expiry) > 0 {
		due = min(due, e.expiry[0].expiryMs)
	}
	if it := e.queue.oldest(); it != nil && it.order <= e.horizon.Load() {
		due = e.timeMs.Load()
	}
	e.nextDue.Store(due)
	for i, v := range []int64{e.count, e.total, e.bytes, e.evictions, e.expired} {
		e.stats[i].Store(v)
	}
}

// TimeMs is the engine's time: the latest stamp, ms of Unix time.
func (e *Engine) TimeMs() int64 { return e.timeMs.Load() }

// NextDueMs is the time at which something changes by itself: an item expires
// or a delayed flush_all fires. It is math.MaxInt64 if nothing will.
func (e *Engine) NextDueMs() int64 { return e.nextDue.Load() }

// SizeBytes estimates the size of an image.
func (e *Engine) SizeBytes() int64 { return e.stats[2].Load() }

// Stats returns counts as of the last Advance or Apply.
func (e *Engine) Stats() Stats {
	return Stats{
		CurrItems: e.stats[0].Load(), TotalItems: e.stats[1].Load(), Bytes: e.stats[2].Load(),
		Evictions: e.stats[3].Load(), Expired: e.stats[4].Load(), LimitMaxBytes: e.limits.MemoryBytes,
	}
}

// Digest is equal on engines of equal state: items, their order, time, counters
// and what is pending.
func (e *Engine) Digest() uint64 {
	var b [72]byte
	for i, v := range []uint64{
		e.sum, uint64(e.timeMs.Load()), e.horizon.Load(), e.mutations, uint64(e.pendingFlush),
		uint64(e.count), uint64(e.total), uint64(e.evictions), uint64(e.expired),
	} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return xxhash.Sum64(b[:])
}
