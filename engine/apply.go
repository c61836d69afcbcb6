package engine

import (
	"fmt"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

const (
	// relativeExptimeMax is the largest exptime that is relative to now, in
	// seconds (protocol.txt, "Expiration times").
	relativeExptimeMax = 60 * 60 * 24 * 30

	msPerSecond = 1000
)

// Apply applies the count operations of ops, in order, and returns their results
// if want is set, nil otherwise. It cannot fail: from the first operation on that
// cannot be read, all are refused with StatusMalformed, and what follows the last one
// is ignored. So it is on every node, as it depends on count and ops alone.
func (e *Engine) Apply(count int, ops []byte, want bool) *Results {
	return e.apply(count, ops, nil, want)
}

func (e *Engine) apply(count int, ops []byte, reads *Reads, want bool) *Results {
	defer e.publish()
	count = min(count, len(ops)) // each has a byte at least
	var results *Results
	if want {
		results = newResults(count+reads.Len(), &e.results)
	}
	for i := range count {
		e.readBehind(i, reads, results)
		op, rest, err := DecodeOp(ops)
		if err != nil {
			for range count - i {
				results.refuse()
			}
			return results
		}
		ops = rest
		r := e.perform(&op)
		if want {
			results.add(&r, r.Status == item.StatusHit || r.Status == item.StatusMiss || r.Status == item.StatusNumber || op.detailed())
		}
		e.tidy(e.stored) // r may alias memory that this frees
		e.stored = 0
	}
	e.readBehind(count, reads, results)
	return results
}

// Check returns an error if ops are not count operations: Apply would refuse some of
// them. It depends on them alone; any goroutine may call it.
func (*Engine) Check(count int, ops []byte) error {
	for i := range count {
		_, rest, err := DecodeOp(ops)
		if err != nil {
			return fmt.Errorf("operation %d of %d: %w", i+1, count, err)
		}
		ops = rest
	}
	if len(ops) > 0 {
		return fmt.Errorf("%d bytes after %d operations: %w", len(ops), count, ErrMalformed)
	}
	return nil
}

// perform does one operation. Slices of the result may alias a record; they are
// valid until the next tidy.
func (e *Engine) perform(op *Op) item.Result {
	if op.Kind.fills() {
		return e.fillStep(op)
	} else if e.fill.going && op.Kind != OpInit { // a correction of the offset comes again
		return item.Result{Status: item.StatusFilling}
	}
	switch op.Kind {
	case OpSet, OpAdd, OpReplace, OpCAS:
		return e.storeItem(op)
	case OpAppend, OpPrepend:
		return e.concat(op)
	case OpTouch:
		f := e.st.Find(op.Key)
		if !f.Alive {
			return item.Result{Status: item.StatusNotFound}
		}
		return e.touch(op, &f)
	case OpGat:
		f := e.st.Find(op.Key)
		if !f.Alive {
			return item.Result{Status: item.StatusMiss, Key: op.Key}
		}
		_, value, m := f.Read() // valid until the next tidy
		e.lent = true
		r := e.touch(op, &f)
		e.lent = false
		if r.Status == item.StatusTouched {
			r.Status, r.Key, r.Flags, r.CAS, r.Value = item.StatusHit, op.Key, m.Flags, m.CAS, value
		}
		return r
	case OpMetaGet:
		e.lent = true
		r := e.metaGet(op)
		e.lent = false
		return r
	case OpDelete:
		return e.deleteItem(op)
	case OpIncr, OpDecr:
		return e.count64(op)
	case OpFlushAll:
		e.flush(op)
		return item.Result{Status: item.StatusOK}
	case OpInit:
		e.form(op)
		return item.Result{Status: item.StatusOK}
	case OpOffset:
		e.setOffset(op.Exptime)
		return item.Result{Status: item.StatusOK}
	case OpMemoryLimit:
		return item.Result{Status: e.setMemoryLimit(op)}
	default: // OpSetTooLarge; DecodeOp lets nothing else pass
		e.deleteAny(op.Key)
		return item.Result{Status: item.StatusTooLarge}
	}
}

// storeItem does set, add, replace and cas (protocol.txt, "Storage commands").
func (e *Engine) storeItem(op *Op) item.Result {
	f := e.st.Find(op.Key)
	m := store.Meta{Flags: op.Flags, CAS: e.storedCAS(op), ExpiryMs: e.expiryMs(op.Exptime)}
	s := e.condition(op, &f, &m)
	if s == item.StatusStored {
		s = e.put(&f, &m, op.Key, op.Value, nil)
	} else if op.Kind == OpSet && !e.fits(&m, len(op.Key), len(op.Value)) {
		s = item.StatusTooLarge // size comes before the cas unique
	}
	switch {
	case s == item.StatusStored:
		return e.tell(op, s, &m, len(op.Value))
	case op.Kind == OpSet && (s == item.StatusTooLarge || s == item.StatusOutOfMemory):
		// Like memcached: rather no value than a stale one.
		e.deleteAny(op.Key)
	}
	return item.Result{Status: s}
}

// condition decides whether the operation's conditions allow m to replace f.
func (e *Engine) condition(op *Op, f *store.Place, m *store.Meta) item.Status {
	compare := op.Kind == OpCAS || op.Fields&item.HasCAS != 0 && op.Kind != OpAdd
	switch {
	case compare && !f.Alive:
		return item.StatusNotFound
	case op.Kind == OpAdd && f.Alive, op.Kind == OpReplace && !f.Alive:
		return item.StatusNotStored
	case compare:
		return compareStale(op, f, m)
	default:
		return item.StatusStored
	}
}

// concat does append and prepend: flags and expiry stay those of the old item.
func (e *Engine) concat(op *Op) item.Result {
	f := e.st.Find(op.Key)
	if !f.Alive && op.Fields&item.HasVivify != 0 {
		m := store.Meta{Flags: op.Flags, CAS: e.storedCAS(op), ExpiryMs: e.expiryMs(op.Vivify)}
		if s := e.put(&f, &m, op.Key, op.Value, nil); s != item.StatusStored {
			return item.Result{Status: s}
		}
		return e.tell(op, item.StatusStored, &m, len(op.Value))
	}
	if !f.Alive {
		return item.Result{Status: item.StatusNotStored}
	}
	_, head, m := f.Read()
	if op.Fields&item.HasCAS != 0 && op.CAS != 0 && op.CAS != m.CAS {
		return item.Result{Status: item.StatusExists}
	}
	tail := op.Value
	if op.Kind == OpPrepend {
		head, tail = tail, head
	}
	m.CAS, m.Marks = e.storedCAS(op), 0
	if e.put(&f, &m, op.Key, head, tail) != item.StatusStored {
		return item.Result{Status: item.StatusNotStored} // as memcached answers when it cannot make the longer item
	}
	return e.tell(op, item.StatusStored, &m, len(head)+len(tail))
}

// storedCAS returns the cas unique for an item that a storage command stores: memcached
// treats 0 as if none were given.
func (e *Engine) storedCAS(op *Op) uint64 {
	if op.NewCAS == 0 {
		return e.mutations + 1
	}
	return e.newCAS(op)
}

// newCAS returns the cas unique that the operation gives to an item.
func (e *Engine) newCAS(op *Op) uint64 {
	if op.Fields&item.HasNewCAS != 0 {
		return op.NewCAS
	}
	return e.mutations + 1
}

// fits reports whether an item is small enough to be stored.
func (e *Engine) fits(m *store.Meta, keyLen, valueLen int) bool {
	return item.SizeBytes(keyLen, m.Flags, valueLen) <= e.limits.ItemBytesMax &&
		store.ChargeFor(m, keyLen, valueLen) <= e.limits.MemoryBytes/2
}

// room is StatusOutOfMemory if nothing may be evicted and there is no room for an item
// in place of f, else StatusStored. An item that is only marked or gets an expiry grows
// too: records have these fields only if they are needed.
func (e *Engine) room(f *store.Place, m *store.Meta, keyLen, valueLen int) item.Status {
	if !e.limits.NoEvict || m.ExpiryMs != 0 && m.ExpiryMs <= e.st.NowMs() {
		return item.StatusStored // an item that has expired is not stored
	}
	more := store.ChargeFor(m, keyLen, valueLen)
	if f.Exists() && e.st.Charged(f.Ref) {
		more -= f.Charge()
	}
	if more > 0 && e.st.Total()+more > e.limits.MemoryBytes {
		return item.StatusOutOfMemory
	}
	return item.StatusStored
}

// put stores an item in place of f if there is room for it. Its value is value followed
// by tail; both may alias the old item.
func (e *Engine) put(f *store.Place, m *store.Meta, key, value, tail []byte) item.Status {
	valueLen := len(value) + len(tail)
	if !e.fits(m, len(key), valueLen) {
		return item.StatusTooLarge
	}
	if s := e.room(f, m, len(key), valueLen); s != item.StatusStored {
		return s
	}
	e.mutations++
	e.counts.TotalItems++
	e.replace(f, m, key, value, tail)
	return item.StatusStored
}

// replace stores an item in place of f, or only unlinks that if the new one has expired
// already.
func (e *Engine) replace(f *store.Place, m *store.Meta, key, value, tail []byte) {
	now := e.st.NowMs()
	if m.ExpiryMs != 0 && m.ExpiryMs <= now {
		if f.Exists() {
			e.st.Unlink(f.Hash, f.Handle())
		}
		return
	}
	m.Level = 0
	if m.ExpiryMs != 0 {
		m.Level = store.LevelFor(now, m.ExpiryMs)
	}
	q := e.queueFor(f)
	m.Freq = 0
	if f.Alive && e.st.QueueOf(f.Ref) == store.QueueMain {
		m.Freq = min(store.FreqMax, f.Freq()+1)
	}
	e.note(eventStore, f.Hash)
	r := e.st.Add(q, f, m, key, value, tail)
	charge := r.Charge()
	e.makeRoom(r.Handle(), charge)
	e.stored += charge
}

// deleteAny deletes the item that has the key, whether it has expired or not.
func (e *Engine) deleteAny(key []byte) {
	if f := e.st.Find(key); f.Exists() {
		e.st.Unlink(f.Hash, f.Handle())
	}
}

// touch sets the expiry of a live item, which is an access. The cas unique stays.
func (e *Engine) touch(op *Op, f *store.Place) item.Result {
	_, value, m := f.Read()
	m.ExpiryMs = e.expiryMs(op.Exptime)
	m.Access.Hit = true
	if s := e.room(f, &m, len(op.Key), len(value)); s != item.StatusStored {
		return item.Result{Status: s}
	}
	e.mutations++
	e.replace(f, &m, op.Key, value, nil)
	return e.tell(op, item.StatusTouched, &m, len(value))
}

// flush does flush_all: now, or later. A delayed one is replaced by the next flush_all,
// delayed or not.
func (e *Engine) flush(op *Op) {
	e.mutations++
	e.pendingFlush = 0
	if at := e.expiryMs(op.Exptime); op.Exptime > 0 && at > e.st.NowMs() {
		e.pendingFlush = at
		return
	}
	e.clear()
}

// expiryMs turns a client's exptime into the time at which an item expires, in
// ms of log time, or 0 for never (protocol.txt, "Expiration times"). Like
// memcached it uses 32 bits of it.
func (e *Engine) expiryMs(exptime int64) int64 {
	exptime = int64(int32(exptime))
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return max(1, e.st.NowMs())
	case exptime <= relativeExptimeMax:
		return max(1, e.st.NowMs()+exptime*msPerSecond)
	default:
		return max(1, exptime*msPerSecond+e.OffsetMs())
	}
}
