package engine

import (
	"encoding/binary"

	"raftcached/internal/item"
)

// Reads are keys that are to be read between the operations of one call of Apply. The
// zero value has none.
type Reads struct {
	b []byte // of each: its place among the operations, the length of the key, the key
	n int
}

// Add adds a read of a key behind the first ops operations, and behind what was added
// before, for which ops was not more. The key is copied.
func (r *Reads) Add(ops int, key []byte) {
	r.b = binary.AppendUvarint(r.b, uint64(ops))
	r.b = binary.AppendUvarint(r.b, uint64(len(key)))
	r.b = append(r.b, key...)
	r.n++
}

// Len returns how many reads there are; r may be nil.
func (r *Reads) Len() int {
	if r == nil {
		return 0
	}
	return r.n
}

// next removes the next read if it is behind the first ops operations; r may be nil.
func (r *Reads) next(ops int) (key []byte, ok bool) {
	if r == nil || len(r.b) == 0 {
		return nil, false
	}
	at, n := binary.Uvarint(r.b)
	if at > uint64(ops) {
		return nil, false
	}
	size, m := binary.Uvarint(r.b[n:])
	rest := r.b[n+m:]
	key, r.b = rest[:size:size], rest[size:]
	return key, true
}

// ApplyReading is Apply, and does reads between the operations: each sees what the
// operations before it have done, and nothing of those behind it. Its result is that of an
// OpGat which changes nothing: a StatusHit or a StatusMiss. They come in this order. The results
// keep the reads' memory. Other nodes do not know of the reads, and need not: they change
// nothing but what Reader.View does.
func (e *Engine) ApplyReading(count int, ops []byte, reads *Reads) *Results {
	return e.apply(count, ops, reads, true)
}

// readBehind does the reads behind the first ops operations.
func (e *Engine) readBehind(ops int, reads *Reads, results *Results) {
	for {
		key, ok := reads.next(ops)
		if !ok {
			return
		}
		e.read(key, results)
	}
}

// read adds the result of a read of a key.
func (e *Engine) read(key []byte, results *Results) {
	f := e.st.Find(key)
	if !f.Alive || e.Filling() {
		if f.Exists() && !f.Alive {
			results.expired++
		}
		results.addRead(&item.Result{Status: item.StatusMiss, Key: key})
		return
	}
	f.Note(e.st.Seconds())
	if f.Hintable() && e.hinting.Load() {
		results.hints = append(results.hints, key)
	}
	r := item.Result{Status: item.StatusHit, Key: key}
	r.Flags, r.CAS, r.Value = f.Content()
	results.addRead(&r)
}

// Credit takes what the reads of results have gathered for a reader's own: hints, and
// misses that met an item that had expired. Who owns the reader calls it. Only here is an
// item marked as hinted: results may come to nobody, and the reader may have no room.
func (r *Reader) Credit(results *Results) {
	r.expired.Add(results.expired)
	if len(results.hints) == 0 {
		return
	}
	st := r.store.Enter()
	for _, key := range results.hints {
		if len(r.hints) == cap(r.hints) {
			break
		}
		hash := st.Hash(key)
		if ref, ok := st.Lookup(hash, key); ok && ref.Hintable() {
			r.hint(ref, hash)
		}
	}
	r.store.Leave()
}
