package engine

import (
	"encoding/binary"
	"sync/atomic"

	"raftcached/internal/item"
)

const (
	hashBytes = 8

	// readerHintsMax bounds the hints that a reader gathers until they are taken.
	readerHintsMax = 1024
)

// Item is what a reader sees of an item, for the duration of a call. View fills
// in the first three fields, Look all.
type Item struct {
	Flags    uint32
	CAS      uint64
	Value    []byte
	ExpiryMs int64      // ms of Unix time on the log's clock; 0: never
	Marks    item.Marks // Stale and AlreadyWon; HitBefore, as this node knows it
	NowMs    int64      // the engine's time

	// IdleSeconds have passed since the access before, as this node knows it.
	IdleSeconds int64
}

// TTLSeconds is the time until the item expires, -1 if it never does.
func (it *Item) TTLSeconds() int64 { return ttlSeconds(it.ExpiryMs, it.NowMs) }

// Wins reports whether whoever reads the item is to fetch it anew: because it is
// stale, or has less than recache left, which is an exptime, 0 if that does not
// matter. Reading it then is a write, OpMetaGet: the next one does not win.
func (it *Item) Wins(recache int64) bool {
	return wins(it.Marks, it.ExpiryMs, it.NowMs, recache)
}

// Reader reads items while the applier changes them. It takes no lock, and never
// waits: see epochs. One goroutine may use it at a time.
type Reader struct {
	engine *Engine
	slot   *readerSlot
	hints  []byte

	seconds uint32 // see SetNow

	expired atomic.Int64 // misses that met an item that had expired

	touched uint32 // keeps the loads of Prepare from being optimised away
}

// NewReader returns another reader. Any goroutine may call it. Readers last as
// long as the engine.
func (e *Engine) NewReader() *Reader {
	return &Reader{engine: e, slot: e.epochs.add(), hints: make([]byte, 0, readerHintsMax*hashBytes)}
}

// SetNow tells the reader the second of Unix time, to note when items are
// accessed. Before the first call it takes the log's time, which stands still
// while nothing is written.
func (r *Reader) SetNow(seconds int64) { r.seconds = uint32(seconds) }

// now is the second that accesses are noted with.
func (r *Reader) now(st *store) uint32 {
	if r.seconds != 0 {
		return r.seconds
	}
	return st.seconds()
}

// View calls f with dst, the key and the item and returns what f returns, or
// reports false for a miss. The item is valid until f returns, which must be
// soon: what the applier frees meanwhile stays in memory.
func (r *Reader) View(dst, key []byte, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	hash := hashKey(key)
	r.engine.epochs.enter(r.slot)
	st := r.engine.store.Load()
	rec, head, ok := r.find(st, hash, key)
	if ok {
		var it Item
		it.Flags, it.CAS, it.Value = rec.content(head)
		r.note(st, rec, head, hash)
		dst = f(dst, key, it)
	}
	r.slot.leave()
	return dst, ok
}

// Look is View for whoever wants to know all of an item. What it tells of
// accesses is of those before. The call is one itself, unless keepAccess is set
// or f appends nothing: then it did not answer anyone.
func (r *Reader) Look(dst, key []byte, keepAccess bool, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	hash := hashKey(key)
	r.engine.epochs.enter(r.slot)
	st := r.engine.store.Load()
	rec, head, ok := r.find(st, hash, key)
	if ok {
		_, value, m := rec.read(head)
		a := rec.access(head)
		before := len(dst)
		dst = f(dst, key, Item{
			Flags: m.flags, CAS: m.cas, Value: value, ExpiryMs: m.expiryMs, Marks: a.mark(m.marks),
			NowMs: st.timeMs.Load(), IdleSeconds: a.idleSeconds(r.now(st)),
		})
		if !keepAccess && len(dst) > before {
			r.note(st, rec, head, hash)
		}
	}
	r.slot.leave()
	return dst, ok
}

// find returns the record of a live item.
func (r *Reader) find(st *store, hash uint64, key []byte) (rec record, head uint32, ok bool) {
	h := st.index.get(hash, key)
	if h == 0 {
		return rec, 0, false
	}
	rec = st.arena.record(h)
	head = rec.load()
	if !st.alive(rec, head) {
		r.expired.Add(1)
		return rec, head, false
	}
	return rec, head, true
}

// note takes down that an item was accessed.
func (r *Reader) note(st *store, rec record, head uint32, hash uint64) {
	rec.note(head, r.now(st))
	if head&hintedBit == 0 && head&freqMask < freqMax && r.engine.hinting.Load() {
		r.hint(rec, hash)
	}
}

// hint notes that an item was read, once until the log has told of it.
func (r *Reader) hint(rec record, hash uint64) {
	if len(r.hints) < cap(r.hints) {
		atomic.OrUint32(rec.head(), hintedBit)
		r.hints = binary.LittleEndian.AppendUint64(r.hints, hash)
	}
}

// Expired returns how many calls of View and Look missed because the item that they found
// had expired. What is cleared away is not found any more. Any goroutine may call
// it.
func (r *Reader) Expired() int64 { return r.expired.Load() }

// Hints is the number of hints that TakeHints would return.
func (r *Reader) Hints() int { return len(r.hints) / hashBytes }

// TakeHints appends the hashes of items that were read, hashBytes each, to dst
// and forgets them. They are for Engine.Hint, on every node.
func (r *Reader) TakeHints(dst []byte) []byte {
	dst = append(dst, r.hints...)
	r.hints = r.hints[:0]
	return dst
}

// Hint counts a read of every item with one of the hashes, which readers of any
// node have gathered. The applier calls it.
func (e *Engine) Hint(hashes []byte) {
	for ; len(hashes) >= hashBytes; hashes = hashes[hashBytes:] {
		hash := binary.LittleEndian.Uint64(hashes)
		e.note(eventHint, hash)
		e.st.index.each(hash, func(h handle) {
			r := e.st.arena.record(h)
			head := r.load()
			if hashKey(r.key(head)) == hash && e.st.alive(r, head) {
				e.st.setFreq(h, min(freqMax, head&freqMask+1))
			}
		})
	}
}

// prepareMax is how many keys Prepare takes at a time: their lines must fit the
// nearest cache.
const prepareMax = 32

// prepareBuckets is the size of the index, 4 MiB, up to which Prepare does
// nothing: much of it lies in caches then.
const prepareBuckets = 1 << 16

// Prepare brings what View and Look need for the keys near the processor. Each key costs
// two accesses to memory that nothing has touched lately, and they wait for each
// other; here those of all keys are on their way at once. It pays where the
// items are many more than the caches hold, and costs a hash for each key.
func (r *Reader) Prepare(keys [][]byte) {
	r.engine.epochs.enter(r.slot)
	st := r.engine.store.Load()
	if st.index.state.Load().now.buckets < prepareBuckets {
		keys = nil
	}
	for len(keys) > 0 {
		n := min(len(keys), prepareMax)
		r.prepare(st, keys[:n])
		keys = keys[n:]
	}
	r.slot.leave()
}

func (r *Reader) prepare(st *store, keys [][]byte) {
	var hashes [prepareMax]uint64
	var handles [prepareMax]handle
	sum := uint32(0)
	for i, key := range keys {
		hashes[i] = hashKey(key)
		sum += st.index.touch(hashes[i])
	}
	for i := range keys {
		handles[i] = st.index.likely(hashes[i])
	}
	for _, h := range handles[:len(keys)] {
		if h != 0 {
			sum += st.arena.touch(h)
		}
	}
	r.touched += sum
}
