package engine

import (
	"raftcached/engine/store"
	"raftcached/internal/item"
)

// What the meta commands do besides the classic ones (protocol.txt, "Meta
// Commands"). An item that is invalidated stays, marked Stale. The next client that
// reads it wins: it is to fetch the item again, and the item is marked AlreadyWon, so
// that others use the old value meanwhile. Storing the item clears the marks.

// metaGet does mg where that may change the item. It decides again by what it finds:
// the item may have changed since a reader saw it.
func (e *Engine) metaGet(op *Op) item.Result {
	f := e.st.Find(op.Key)
	if !f.Alive {
		return e.vivify(op, &f)
	}
	_, value, m := f.Read() // valid until the next tidy
	a := f.Access()
	now := e.st.NowMs()
	before, marks := m.ExpiryMs, withHit(m.Marks, a)
	touched := op.Fields&item.HasExptime != 0
	decides := m.ExpiryMs // what Recache is compared with
	if touched {
		m.ExpiryMs = e.expiryMs(op.Exptime)
		if op.Fields&item.TouchBeforeRecache != 0 {
			decides = m.ExpiryMs
		}
	}
	won := wins(m.Marks, decides, now, op.recache(), e.OffsetMs())
	if won {
		m.Marks |= item.AlreadyWon
	}
	if s := e.room(&f, &m, len(op.Key), len(value)); s != item.StatusStored {
		if touched {
			return item.Result{Status: s}
		}
		won = false // it cannot be marked, so nobody wins it
	}
	if won {
		marks |= item.Won
	}
	keep := op.Fields&item.KeepAccess != 0
	switch {
	case touched || won:
		e.mutations++
		if m.Access.Hit = true; keep {
			m.Access = a
		}
		e.replace(&f, &m, op.Key, value, nil)
	case !keep:
		f.Note(e.st.Seconds())
	}
	r := e.tell(op, item.StatusHit, &m, len(value))
	r.Key, r.Value, r.Marks, r.IdleSeconds = op.Key, value, marks, idleSeconds(a, e.st.Seconds())
	return e.tellBefore(op, r, before)
}

// vivify creates an empty item where there is none, if the operation asks for that.
// The client has won it.
func (e *Engine) vivify(op *Op, f *store.Place) item.Result {
	miss := item.Result{Status: item.StatusMiss, Key: op.Key}
	if op.Fields&item.HasVivify == 0 {
		return miss
	}
	m := store.Meta{CAS: e.newCAS(op), ExpiryMs: e.vivifiedExpiryMs(op), Marks: item.AlreadyWon}
	m.Access.Hit = op.Fields&item.KeepAccess == 0
	if e.put(f, &m, op.Key, nil, nil) != item.StatusStored {
		return miss // as memcached answers when it has no memory for it
	}
	r := e.tell(op, item.StatusHit, &m, 0)
	r.Key, r.Marks = op.Key, item.Won
	return e.tellBefore(op, r, 0)
}

// vivifiedExpiryMs is the expiry of an item that is created because there is
// none. It is set to Vivify and to Exptime, if there is one, in their order.
func (e *Engine) vivifiedExpiryMs(op *Op) int64 {
	if op.Fields&item.HasExptime != 0 && op.Fields&item.TouchBeforeVivify == 0 {
		return e.expiryMs(op.Exptime)
	}
	return e.expiryMs(op.Vivify)
}

// deleteItem does delete. With RemoveValue or Invalidate the item stays.
func (e *Engine) deleteItem(op *Op) item.Result {
	f := e.st.Find(op.Key)
	if !f.Alive {
		return item.Result{Status: item.StatusNotFound}
	}
	_, value, m := f.Read()
	if op.Fields&item.HasCAS != 0 && op.CAS != m.CAS {
		return item.Result{Status: item.StatusExists}
	}
	cas := e.newCAS(op)
	if op.Fields&(item.RemoveValue|item.Invalidate) == 0 {
		e.mutations++
		e.st.Unlink(f.Hash, f.Handle())
		return item.Result{Status: item.StatusDeleted}
	}
	m.Access = f.Access()
	if op.Fields&item.RemoveValue != 0 {
		value, m = nil, store.Meta{Flags: op.Flags, CAS: m.CAS}
		if op.Fields&item.HasNewCAS != 0 {
			m.CAS = cas
		}
	}
	if op.Fields&item.Invalidate != 0 {
		m.CAS, m.Marks = cas, item.Stale
	}
	if op.Fields&item.HasExptime != 0 {
		m.ExpiryMs = e.expiryMs(op.Exptime)
	}
	if s := e.room(&f, &m, len(op.Key), len(value)); s != item.StatusStored {
		return item.Result{Status: s}
	}
	e.mutations++
	if op.Fields&item.RemoveValue != 0 {
		e.counts.TotalItems++
	}
	e.replace(&f, &m, op.Key, value, nil)
	return e.tell(op, item.StatusDeleted, &m, len(value))
}

// compareStale compares the cas unique of a storage command with the item's. With
// Invalidate an older one is taken too: m becomes stale, and keeps the expiry
// that the item has.
func compareStale(op *Op, f *store.Place, m *store.Meta) item.Status {
	_, _, old := f.Read()
	switch {
	case op.CAS == 0:
		return item.StatusExists // 0 is that of no item, even if one has it
	case op.CAS == old.CAS:
		return item.StatusStored
	case op.Fields&item.Invalidate != 0 && op.CAS < old.CAS:
		m.ExpiryMs, m.Marks = old.ExpiryMs, item.Stale|old.Marks&item.AlreadyWon
		return item.StatusStored
	default:
		return item.StatusExists
	}
}

// recache is the time left, as an exptime, below which a reader wins; 0 for none.
func (op *Op) recache() int64 {
	if op.Fields&item.HasRecache == 0 {
		return 0
	}
	return op.Recache
}

// wins reports whether the client that reads an item with these marks and this expiry
// is to fetch it again. An item that was won is not won a second time.
func wins(marks item.Marks, expiryMs, nowMs, recache, offsetMs int64) bool {
	recache = int64(int32(recache))
	switch {
	case marks&item.AlreadyWon != 0:
		return false
	case marks&item.Stale != 0:
		return true
	case expiryMs == 0 || recache <= 0:
		return false
	case recache <= relativeExptimeMax:
		return ttlSeconds(expiryMs, nowMs) < recache
	default:
		return expiryMs < recache*msPerSecond+offsetMs
	}
}

// ttlSeconds is the time until an expiry in seconds, rounded up, as memcached counts
// it: right after an exptime was set it is that. It is -1 for never.
func ttlSeconds(expiryMs, nowMs int64) int64 {
	if expiryMs == 0 {
		return -1
	}
	return max(0, (expiryMs-nowMs+msPerSecond-1)/msPerSecond)
}

// withHit adds HitBefore to the marks of an item that was read before.
func withHit(marks item.Marks, a store.Access) item.Marks {
	if a.Hit {
		return marks | item.HitBefore
	}
	return marks
}

// idleSeconds is the time since the access; 0 if the clock was set back since.
func idleSeconds(a store.Access, now uint32) int64 { return max(0, int64(now)-int64(a.Seconds)) }

// tell returns a result, with the details of an item with a value of the given size if
// the operation asks for them.
func (e *Engine) tell(op *Op, s item.Status, m *store.Meta, size int) item.Result {
	r := item.Result{Status: s}
	if op.detailed() {
		r.Flags, r.CAS = m.Flags, m.CAS
		r.SizeBytes, r.Marks = size, m.Marks
		r.TTLSeconds = ttlSeconds(m.ExpiryMs, e.st.NowMs())
	}
	return r
}

// tellBefore makes the result report the time to live by the expiry that the item had
// before, 0 for none, if the operation asks for that.
func (e *Engine) tellBefore(op *Op, r item.Result, expiryMs int64) item.Result {
	if op.Fields&item.TTLBefore != 0 {
		r.TTLSeconds = ttlSeconds(expiryMs, e.st.NowMs())
	}
	return r
}
