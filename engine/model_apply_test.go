package engine

import (
	"fmt"
	"strconv"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// apply does op and returns its result, but for what only a node knows.
func (m *model) apply(op *Op) item.Result {
	r := m.perform(op)
	if op.Fields == 0 && op.Kind != OpMetaGet {
		r.SizeBytes, r.TTLSeconds, r.Marks = 0, 0, 0
		if r.Status != item.StatusHit {
			r.CAS, r.Flags = 0, 0
		}
	}
	return r
}

func (m *model) perform(op *Op) item.Result {
	old := m.visible(string(op.Key))
	switch op.Kind {
	case OpSet, OpAdd, OpReplace, OpCAS:
		return m.set(op, old)
	case OpAppend, OpPrepend:
		return m.concat(op, old)
	case OpIncr, OpDecr:
		return m.count(op, old)
	case OpMetaGet:
		return m.metaGet(op, old)
	case OpDelete:
		return m.delete(op, old)
	case OpTouch, OpGat:
		if old == nil {
			return item.Result{Status: map[OpKind]item.Status{OpTouch: item.StatusNotFound, OpGat: item.StatusMiss}[op.Kind]}
		}
		r := m.change(old, item.StatusTouched, func(it *modelItem) { it.ExpiryMs = m.expiry(op.Exptime) })
		if r.Status == item.StatusTouched && op.Kind == OpGat {
			r.Status, r.Value = item.StatusHit, []byte(old.value)
		}
		return r
	default: // OpFlushAll
		m.mutations++
		m.flush = 0
		if op.Exptime > 0 {
			m.flush = m.expiry(op.Exptime)
		} else {
			m.queues = [store.QueueCount][]*modelItem{}
		}
		return item.Result{Status: item.StatusOK}
	}
}

// change stores a changed copy of an item and tells what it is then.
func (m *model) change(old *modelItem, done item.Status, f func(*modelItem)) item.Result {
	it := *old
	f(&it)
	return m.keep(&it, done)
}

// keep stores an item and tells what it is then.
func (m *model) keep(it *modelItem, done item.Status) item.Result {
	if s := m.store(it); s != item.StatusStored {
		return item.Result{Status: s}
	}
	r := m.tell(it)
	r.Status = done
	return r
}

func (m *model) tell(it *modelItem) item.Result {
	return item.Result{CAS: it.CAS, Flags: it.Flags, SizeBytes: len(it.value), TTLSeconds: m.left(it), Marks: it.Marks}
}

// left is the time to live in seconds, rounded up.
func (m *model) left(it *modelItem) int64 {
	if it.ExpiryMs == 0 {
		return -1
	}
	return max(0, (it.ExpiryMs-m.now+999)/1000)
}

func (m *model) cas(op *Op, zeroIsNone bool) uint64 {
	if op.Fields&item.HasNewCAS == 0 || zeroIsNone && op.NewCAS == 0 {
		return m.mutations + 1
	}
	return op.NewCAS
}

func (m *model) set(op *Op, old *modelItem) item.Result {
	it := &modelItem{key: string(op.Key), value: string(op.Value)}
	it.Flags, it.ExpiryMs, it.CAS = op.Flags, m.expiry(op.Exptime), m.cas(op, true)
	if op.Kind == OpCAS || op.Fields&item.HasCAS != 0 && op.Kind != OpAdd {
		switch {
		case old == nil:
			return item.Result{Status: item.StatusNotFound}
		case op.CAS != 0 && op.CAS < old.CAS && op.Fields&item.Invalidate != 0:
			it.ExpiryMs, it.Marks = old.ExpiryMs, item.Stale|old.Marks&item.AlreadyWon
		case op.CAS == 0 || op.CAS != old.CAS:
			return item.Result{Status: item.StatusExists}
		}
	} else if op.Kind == OpAdd && old != nil || op.Kind == OpReplace && old == nil {
		return item.Result{Status: item.StatusNotStored}
	}
	r := m.keep(it, item.StatusStored)
	if r.Status != item.StatusStored && op.Kind == OpSet {
		o, _ := m.find(it.key)
		m.remove(o)
	}
	return r
}

func (m *model) concat(op *Op, old *modelItem) item.Result {
	it := &modelItem{key: string(op.Key), value: string(op.Value)}
	it.CAS = m.cas(op, true)
	switch {
	case old == nil && op.Fields&item.HasVivify == 0:
		return item.Result{Status: item.StatusNotStored}
	case old == nil:
		it.Flags, it.ExpiryMs = op.Flags, m.expiry(op.Vivify)
		return m.keep(it, item.StatusStored)
	case op.Fields&item.HasCAS != 0 && op.CAS != 0 && op.CAS != old.CAS:
		return item.Result{Status: item.StatusExists}
	}
	it.Flags, it.ExpiryMs = old.Flags, old.ExpiryMs
	if it.value = old.value + it.value; op.Kind == OpPrepend {
		it.value = string(op.Value) + old.value
	}
	r := m.keep(it, item.StatusStored)
	if r.Status != item.StatusStored {
		r.Status = item.StatusNotStored
	}
	return r
}

// created is the expiry of an item that an operation creates on a miss.
func (m *model) created(op *Op) int64 {
	if op.Fields&item.HasExptime != 0 && op.Fields&item.TouchBeforeVivify == 0 {
		return m.expiry(op.Exptime)
	}
	return m.expiry(op.Vivify)
}

func (m *model) count(op *Op, old *modelItem) item.Result {
	it := &modelItem{key: string(op.Key)}
	it.CAS = m.cas(op, false)
	n, before := op.Initial, int64(-1)
	if old == nil {
		if op.Fields&item.HasVivify == 0 {
			return item.Result{Status: item.StatusNotFound}
		}
		it.ExpiryMs = m.created(op)
		it.value = strconv.FormatUint(n, 10)
	} else {
		if op.Fields&item.HasCAS != 0 && op.CAS != 0 && op.CAS != old.CAS && old.value != "" {
			return item.Result{Status: item.StatusExists}
		}
		var ok bool
		if n, ok = parseNumber([]byte(old.value)); !ok {
			return item.Result{Status: item.StatusNonNumeric}
		}
		if op.Kind == OpIncr {
			n += op.Delta
		} else {
			n -= min(n, op.Delta)
		}
		it.value = fmt.Sprintf("%-*d", len(old.value), n)
		it.Flags, it.ExpiryMs, before = old.Flags, old.ExpiryMs, m.left(old)
		if len(it.value) == len(old.value) {
			it.Marks = old.Marks
		}
		if op.Fields&item.HasExptime != 0 {
			it.ExpiryMs = m.expiry(op.Exptime)
		}
	}
	r := m.keep(it, item.StatusNumber)
	if r.Status == item.StatusNumber {
		if r.Number = n; op.Fields&item.TTLBefore != 0 {
			r.TTLSeconds = before
		}
		if old == nil {
			r.Marks = item.Won
		}
	}
	return r
}

func (m *model) metaGet(op *Op, old *modelItem) item.Result {
	if old == nil {
		if op.Fields&item.HasVivify == 0 {
			return item.Result{Status: item.StatusMiss}
		}
		it := &modelItem{key: string(op.Key)}
		it.CAS, it.Marks, it.ExpiryMs = m.cas(op, false), item.AlreadyWon, m.created(op)
		r := m.keep(it, item.StatusHit)
		if r.Status != item.StatusHit {
			return item.Result{Status: item.StatusMiss}
		}
		if r.Marks = item.Won; op.Fields&item.TTLBefore != 0 {
			r.TTLSeconds = -1
		}
		return r
	}
	it := *old
	left := m.left(old)
	if op.Fields&item.HasExptime != 0 {
		it.ExpiryMs = m.expiry(op.Exptime)
	}
	if op.Fields&item.TouchBeforeRecache != 0 {
		left = m.left(&it)
	}
	shown := old.Marks
	if old.Marks&item.AlreadyWon == 0 && (old.Marks&item.Stale != 0 || op.Fields&item.HasRecache != 0 && left >= 0 && left < op.Recache) {
		it.Marks |= item.AlreadyWon
		shown |= item.Won
	}
	if !m.hasRoom(&it) {
		if op.Fields&item.HasExptime != 0 {
			return item.Result{Status: item.StatusOutOfMemory}
		}
		it.Marks, shown = old.Marks, old.Marks
	}
	r := m.tell(&it)
	if shown&item.Won != 0 || op.Fields&item.HasExptime != 0 {
		m.mutations++
		m.put(&it)
	}
	r.Status, r.Value, r.Marks = item.StatusHit, []byte(old.value), shown
	if op.Fields&item.TTLBefore != 0 {
		r.TTLSeconds = m.left(old)
	}
	return r
}

func (m *model) delete(op *Op, old *modelItem) item.Result {
	switch {
	case old == nil:
		return item.Result{Status: item.StatusNotFound}
	case op.Fields&item.HasCAS != 0 && op.CAS != old.CAS:
		return item.Result{Status: item.StatusExists}
	case op.Fields&(item.RemoveValue|item.Invalidate) == 0:
		m.mutations++
		m.remove(old)
		return item.Result{Status: item.StatusDeleted}
	}
	cas := m.cas(op, false)
	return m.change(old, item.StatusDeleted, func(it *modelItem) {
		if op.Fields&item.RemoveValue != 0 {
			it.value, it.Meta = "", store.Meta{Flags: op.Flags, CAS: it.CAS}
		}
		if op.Fields&(item.Invalidate|item.HasNewCAS) != 0 {
			it.CAS = cas
		}
		if op.Fields&item.Invalidate != 0 {
			it.Marks = item.Stale
		}
		if op.Fields&item.HasExptime != 0 {
			it.ExpiryMs = m.expiry(op.Exptime)
		}
	})
}
