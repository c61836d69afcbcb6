package engine

import "raftcached/internal/item"

// What the meta commands do besides the classic ones (protocol.txt, "Meta
// Commands"): an item that is invalidated stays, marked Stale, and whoever reads
// it next wins: that client is to fetch it anew, and the item is marked
// AlreadyWon, so that others go on with the old value meanwhile. Storing it
// clears the marks.

// metaGet does mg where that may change the item. What it finds decides anew, for
// the item may be another than the one that a reader saw.
func (e *Engine) metaGet(op *Op) item.Result {
	f := e.find(op.Key)
	if !f.alive {
		return e.vivify(op, &f)
	}
	_, value, m := f.record.read(f.head) // valid until the next tidy
	a := f.record.access(f.head)
	now := e.st.timeMs.Load()
	before, marks := m.expiryMs, a.mark(m.marks)
	touched := op.Fields&item.HasExptime != 0
	decides := m.expiryMs // what Recache is compared with
	if touched {
		m.expiryMs = e.expiryMs(op.Exptime)
		if op.Fields&item.TouchBeforeRecache != 0 {
			decides = m.expiryMs
		}
	}
	won := wins(m.marks, decides, now, op.recache())
	if won {
		m.marks |= item.AlreadyWon
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
		if m.access.hit = true; keep {
			m.access = a
		}
		e.replace(&f, &m, op.Key, value, nil)
	case !keep:
		f.record.note(f.head, e.st.seconds())
	}
	r := e.tell(op, item.StatusHit, &m, len(value))
	r.Key, r.Value, r.Marks, r.IdleSeconds = op.Key, value, marks, a.idleSeconds(e.st.seconds())
	return e.tellBefore(op, r, before)
}

// vivify makes an empty item where there is none, if the operation asks for that.
// Whoever asks has won it.
func (e *Engine) vivify(op *Op, f *found) item.Result {
	miss := item.Result{Status: item.StatusMiss, Key: op.Key}
	if op.Fields&item.HasVivify == 0 {
		return miss
	}
	m := meta{cas: e.newCAS(op), expiryMs: e.vivifiedExpiryMs(op), marks: item.AlreadyWon}
	m.access.hit = op.Fields&item.KeepAccess == 0
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
	f := e.find(op.Key)
	if !f.alive {
		return item.Result{Status: item.StatusNotFound}
	}
	_, value, m := f.record.read(f.head)
	if op.Fields&item.HasCAS != 0 && op.CAS != m.cas {
		return item.Result{Status: item.StatusExists}
	}
	cas := e.newCAS(op)
	if op.Fields&(item.RemoveValue|item.Invalidate) == 0 {
		e.mutations++
		e.st.remove(f.hash, f.handle)
		return item.Result{Status: item.StatusDeleted}
	}
	m.access = f.record.access(f.head)
	if op.Fields&item.RemoveValue != 0 {
		value, m = nil, meta{flags: op.Flags, cas: m.cas}
		if op.Fields&item.HasNewCAS != 0 {
			m.cas = cas
		}
	}
	if op.Fields&item.Invalidate != 0 {
		m.cas, m.marks = cas, item.Stale
	}
	if op.Fields&item.HasExptime != 0 {
		m.expiryMs = e.expiryMs(op.Exptime)
	}
	if s := e.room(&f, &m, len(op.Key), len(value)); s != item.StatusStored {
		return item.Result{Status: s}
	}
	e.mutations++
	if op.Fields&item.RemoveValue != 0 {
		e.totalItems++
	}
	e.replace(&f, &m, op.Key, value, nil)
	return e.tell(op, item.StatusDeleted, &m, len(value))
}

// compareStale compares the cas unique of a storage command with the item's. With
// Invalidate an older one is taken too: m becomes stale, and keeps the expiry
// that the item has.
func compareStale(op *Op, f *found, m *meta) item.Status {
	_, _, old := f.record.read(f.head)
	switch {
	case op.CAS == 0:
		return item.StatusExists // 0 is that of no item, even if one has it
	case op.CAS == old.cas:
		return item.StatusStored
	case op.Fields&item.Invalidate != 0 && op.CAS < old.cas:
		m.expiryMs, m.marks = old.expiryMs, item.Stale|old.marks&item.AlreadyWon
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

// wins reports whether whoever reads an item with these marks and this expiry is
// to fetch it anew. Nobody wins what is won already.
func wins(marks item.Marks, expiryMs, nowMs, recache int64) bool {
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
		return expiryMs < recache*msPerSecond
	}
}

// ttlSeconds is the time until an expiry in seconds, the begun one included, as
// memcached counts it: right after it was set it is what was set. It is -1 for
// never.
func ttlSeconds(expiryMs, nowMs int64) int64 {
	if expiryMs == 0 {
		return -1
	}
	return max(0, (expiryMs-nowMs+msPerSecond-1)/msPerSecond)
}

// mark adds HitBefore to the marks of an item that was read.
func (a access) mark(marks item.Marks) item.Marks {
	if a.hit {
		return marks | item.HitBefore
	}
	return marks
}

// idleSeconds is the time since the access. Clocks that differ make it no less
// than 0.
func (a access) idleSeconds(now uint32) int64 { return max(0, int64(now)-int64(a.seconds)) }

// tell returns a result with the details of an item with a value of that length,
// if the operation asks for them.
func (e *Engine) tell(op *Op, s item.Status, m *meta, size int) item.Result {
	r := item.Result{Status: s}
	if op.detailed() {
		r.Flags, r.CAS = m.flags, m.cas
		r.SizeBytes, r.Marks = size, m.marks
		r.TTLSeconds = ttlSeconds(m.expiryMs, e.st.timeMs.Load())
	}
	return r
}

// tellBefore makes the result tell what was left to live with the expiry that the
// item had, or 0, if the operation asks for that.
func (e *Engine) tellBefore(op *Op, r item.Result, expiryMs int64) item.Result {
	if op.Fields&item.TTLBefore != 0 {
		r.TTLSeconds = ttlSeconds(expiryMs, e.st.timeMs.Load())
	}
	return r
}
