package engine

import (
	"encoding/binary"
	"sync/atomic"

	"raftcached/engine/store"
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
	NowMs    int64      // the engine's time, or that of SetTime if it is later

	// IdleSeconds have passed since the access before, as this node knows it.
	IdleSeconds int64

	offsetMs int64 // Engine.OffsetMs
}

// TTLSeconds is the time until the item expires, -1 if it never does.
func (it *Item) TTLSeconds() int64 { return ttlSeconds(it.ExpiryMs, it.NowMs) }

// Wins reports whether the client that reads the item is to fetch it again: because
// it is stale, or less than recache is left, which is an exptime, 0 if that does not
// matter. Reading it then is a write, OpMetaGet: the next reader does not win.
func (it *Item) Wins(recache int64) bool {
	return wins(it.Marks, it.ExpiryMs, it.NowMs, recache, it.offsetMs)
}

// Reader reads items while the applier changes them. It takes no lock and never
// waits. One goroutine may use it at a time.
type Reader struct {
	engine *Engine
	store  store.Reader
	hints  []byte

	handles []store.Handle // of List; reused

	seconds uint32 // see SetNow
	dueMs   int64  // see SetDue
	due     bool   // see Due
	nowMs   int64  // see SetTime
	lateMs  int64  // see SetTime
	late    bool   // see Late

	expired atomic.Int64 // misses that met an item that had expired
}

// NewReader returns another reader. Any goroutine may call it. Readers last as
// long as the engine.
func (e *Engine) NewReader() *Reader {
	return &Reader{engine: e, store: e.current.NewReader(), hints: make([]byte, 0, readerHintsMax*hashBytes)}
}

// SetNow tells the reader the second of Unix time, to note when items are
// accessed. Before the first call it takes the log's time, which stands still
// while nothing is written.
func (r *Reader) SetNow(seconds int64) { r.seconds = uint32(seconds) }

// now is the second that accesses are noted with.
func (r *Reader) now(st *store.Store) uint32 {
	if r.seconds != 0 {
		return r.seconds
	}
	return st.Seconds()
}

// SetDue tells the reader of a later stamp, which is in the log but not applied: the
// calls of View and Look that follow do not show an item that is gone by then. 0: there
// is none.
func (r *Reader) SetDue(stampMs int64) { r.dueMs, r.due = stampMs, false }

// Due reports whether the last call of View or Look has withheld an item, since it will be
// gone by the stamp of SetDue.
func (r *Reader) Due() bool { return r.due }

// SetTime tells the reader a guess of the log's time now, by which the calls of Look that
// follow tell what is left to live, and at the latest when it may be by now: an item that
// is gone then is not shown, and Late reports that. The engine's time decides what has
// expired. 0: there is no guess.
func (r *Reader) SetTime(nowMs, lateMs int64) { r.nowMs, r.lateMs = nowMs, lateMs }

// TimeMs is the engine's time: the latest stamp, ms of Unix time.
func (r *Reader) TimeMs() int64 {
	ms := r.store.Enter().NowMs()
	r.store.Leave()
	return ms
}

// Late reports whether the last call of View or Look has withheld an item, since it may have
// expired by SetTime, and has not by the engine's time.
func (r *Reader) Late() bool { return r.late }

// flush begins a call, and returns when a delayed flush_all fires; 0: none is pending. It
// is asked before an item is looked up: a flush that has fired has left none.
func (r *Reader) flush() (atMs int64) {
	if r.due, r.late = false, false; r.dueMs|r.lateMs == 0 {
		return 0
	}
	return r.engine.flushAt.Load()
}

// withheld reports whether an item that was found is not to be shown, because it
// expires, or the flush_all fires, by the stamp of SetDue or by SetTime.
func (r *Reader) withheld(ref store.Ref, flushMs int64) bool {
	if r.dueMs|r.lateMs == 0 {
		return false
	}
	at := ref.ExpiryMs()
	if flushMs != 0 && (at == 0 || flushMs < at) {
		at = flushMs
	}
	if at == 0 {
		return false
	}
	r.due = at <= r.dueMs
	r.late = !r.due && at <= r.lateMs
	return r.due || r.late
}

// View calls f with dst, the key and the item and returns what f returns, or
// reports false for a miss. The item is valid until f returns, which must be
// soon: what the applier retires meanwhile stays in memory.
func (r *Reader) View(dst, key []byte, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	hides, flushMs := r.engine.hides.Load(), r.flush()
	st := r.store.Enter()
	hash := st.Hash(key)
	ref, ok := st.Lookup(hash, key)
	if ok && r.hidden(hides) {
		ok = false
	} else if ok && r.withheld(ref, flushMs) {
		ok = false
	} else if ok {
		var it Item
		it.Flags, it.CAS, it.Value = ref.Content()
		r.note(st, ref, hash)
		dst = f(dst, key, it)
	} else if ref.Exists() {
		r.expired.Add(1)
	}
	r.store.Leave()
	return dst, ok
}

// ValueBytes returns the size of an item's value, if there is one. It is no access.
func (r *Reader) ValueBytes(key []byte) (n int, ok bool) {
	st := r.store.Enter()
	ref, ok := st.Lookup(st.Hash(key), key)
	if ok {
		_, _, value := ref.Content()
		n = len(value)
	}
	r.store.Leave()
	return n, ok
}

// Look is View with all of an item, as it was before the call. The call counts as an
// access unless keepAccess is set or f appends nothing: then it answered nobody.
func (r *Reader) Look(dst, key []byte, keepAccess bool, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	hides, flushMs := r.engine.hides.Load(), r.flush()
	st := r.store.Enter()
	hash := st.Hash(key)
	ref, ok := st.Lookup(hash, key)
	if ok && r.hidden(hides) {
		ok = false
	} else if ok && r.withheld(ref, flushMs) {
		ok = false
	} else if ok {
		_, value, m := ref.Read()
		a := ref.Access()
		before := len(dst)
		dst = f(dst, key, Item{
			Flags: m.Flags, CAS: m.CAS, Value: value, ExpiryMs: m.ExpiryMs, Marks: withHit(m.Marks, a),
			NowMs: max(st.NowMs(), r.nowMs), IdleSeconds: idleSeconds(a, r.now(st)), offsetMs: r.engine.OffsetMs(),
		})
		if !keepAccess && len(dst) > before {
			r.note(st, ref, hash)
		}
	} else if ref.Exists() {
		r.expired.Add(1)
	}
	r.store.Leave()
	return dst, ok
}

// hidden reports whether an item may be one of a fill that was not finished when it
// was looked up: hides is from before.
func (r *Reader) hidden(hides uint64) bool { return hides&1 == 1 || r.engine.hides.Load() != hides }

// note records that an item was accessed.
func (r *Reader) note(st *store.Store, ref store.Ref, hash uint64) {
	ref.Note(r.now(st))
	if ref.Hintable() && r.engine.hinting.Load() {
		r.hint(ref, hash)
	}
}

// hint adds a hint of the item, once until the log has told of it.
func (r *Reader) hint(ref store.Ref, hash uint64) {
	if len(r.hints) < cap(r.hints) {
		ref.MarkHinted()
		r.hints = binary.LittleEndian.AppendUint64(r.hints, hash)
	}
}

// Expired returns how many calls of View and Look missed because the item that they
// found had expired. Items that were unlinked since are not found. Any goroutine may
// call it.
func (r *Reader) Expired() int64 { return r.expired.Load() }

// Hints is the number of hints that TakeHints would return.
func (r *Reader) Hints() int { return len(r.hints) / hashBytes }

// TakeHints appends the hashes of items that were read, hashBytes each, to dst
// and removes them here. They are for Engine.Hint, on every node.
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
		e.st.Each(hash, func(r store.Ref) { e.st.SetFreq(r.Handle(), min(store.FreqMax, r.Freq()+1)) })
	}
}

// Prepare loads into the processor's caches what View and Look need for the keys, see
// store.Reader.
func (r *Reader) Prepare(keys [][]byte) { r.store.Prepare(keys) }
