package protocol_test

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// carryOut carries out a request about an item: of the classic commands, or what
// the meta commands and the binary protocol make of it.
func (m *model) carryOut(r *protocol.Request) protocol.Result {
	if r.Form.Codec == protocol.Text || r.TooLarge {
		return m.write(r)
	}
	it, found := m.find(r.Key)
	switch r.Command {
	case protocol.MetaGet, protocol.MetaGat:
		return m.metaGet(r, it, found)
	case protocol.MetaDebug:
		if !found {
			return protocol.Result{Status: protocol.StatusMiss}
		}
		return m.tell(protocol.StatusHit, &it)
	case protocol.Delete:
		return m.metaDelete(r, it, found)
	case protocol.Incr, protocol.Decr:
		return m.metaCount(r, it, found)
	case protocol.Noop:
		return protocol.Result{}
	}
	return m.metaStore(r, it, found)
}

// tell returns a result that tells of an item.
func (m *model) tell(s protocol.Status, it *modelItem) protocol.Result {
	r := protocol.Result{
		Status: s, Flags: it.flags, CAS: it.cas, Value: it.value, SizeBytes: len(it.value),
		TTLSeconds: m.ttl(it.expiry), IdleSeconds: int64((m.passed - it.accessed) / time.Second),
	}
	for mark, set := range map[item.Marks]bool{
		item.Stale: it.stale, item.AlreadyWon: it.won, item.HitBefore: it.fetched,
	} {
		if set {
			r.Marks |= mark
		}
	}
	return r
}

func (m *model) ttl(expiry time.Duration) int64 {
	if expiry == math.MaxInt64 {
		return -1
	}
	return max(0, int64((expiry-m.passed+time.Second-1)/time.Second))
}

// putMeta stores an item under the cas unique that was asked for, or the next.
func (m *model) putMeta(r *protocol.Request, it modelItem) modelItem {
	m.put(r.Key, it)
	it = m.items[string(r.Key)]
	if r.Fields&item.HasNewCAS != 0 {
		it.cas = r.NewCAS
		m.items[string(r.Key)] = it
	}
	return it
}

func (m *model) metaGet(r *protocol.Request, it modelItem, found bool) protocol.Result {
	created := !found && r.Fields&item.HasVivify != 0
	if created {
		it = m.putMeta(r, modelItem{expiry: m.expiry(r.Vivify)})
	} else if !found {
		return protocol.Result{Status: protocol.StatusMiss}
	}
	before := it.expiry
	if created {
		before = math.MaxInt64
	}
	decides := it.expiry
	if r.Fields&item.HasExptime != 0 {
		if !created || r.Fields&item.TouchBeforeVivify == 0 {
			it.expiry = m.expiry(r.Exptime)
		}
		if r.Fields&item.TouchBeforeRecache != 0 {
			decides = it.expiry
		}
	}
	recached := r.Recache > 0 && decides < math.MaxInt64 && decides < m.expiry(r.Recache)
	wins := created || !it.won && (it.stale || recached)
	result := m.tell(protocol.StatusHit, &it)
	if r.Fields&item.TTLBefore != 0 {
		result.TTLSeconds = m.ttl(before)
	}
	if wins {
		result.Marks |= item.Won
		it.won = true
	}
	if r.Fields&item.KeepAccess == 0 {
		it.fetched, it.accessed = true, m.passed
	}
	m.items[string(r.Key)] = it
	return result
}

func (m *model) metaStore(r *protocol.Request, old modelItem, found bool) protocol.Result {
	compares := r.Fields&item.HasCAS != 0
	it := modelItem{value: bytes.Clone(r.Value), flags: r.Flags, expiry: m.expiry(r.Exptime)}
	switch {
	case r.Command == protocol.Add && found:
		return protocol.Result{Status: protocol.StatusNotStored}
	case r.Command == protocol.Add:
	case !found && compares && (r.Command == protocol.Set || r.Command == protocol.Replace):
		return protocol.Result{Status: protocol.StatusNotFound}
	case compares && found && r.CAS != old.cas:
		if r.Fields&item.Invalidate == 0 || r.CAS == 0 || r.CAS > old.cas {
			return protocol.Result{Status: protocol.StatusExists}
		}
		it.expiry, it.stale, it.won = old.expiry, true, old.won
	}
	switch r.Command {
	case protocol.Replace:
		if !found {
			return protocol.Result{Status: protocol.StatusNotStored}
		}
	case protocol.Append, protocol.Prepend:
		if !found && r.Fields&item.HasVivify == 0 {
			return protocol.Result{Status: protocol.StatusNotStored}
		}
		if len(r.Key)+len(old.value)+len(r.Value) > itemBytesMax-64 {
			return protocol.Result{Status: protocol.StatusNotStored}
		}
		it.expiry = m.expiry(r.Vivify)
		if found {
			it.flags, it.expiry = old.flags, old.expiry
		}
		if r.Command == protocol.Append {
			it.value = append(bytes.Clone(old.value), r.Value...)
		} else {
			it.value = append(bytes.Clone(r.Value), old.value...)
		}
	}
	it = m.putMeta(r, it)
	return m.tell(protocol.StatusStored, &it)
}

func (m *model) metaDelete(r *protocol.Request, it modelItem, found bool) protocol.Result {
	switch {
	case !found:
		return protocol.Result{Status: protocol.StatusNotFound}
	case r.Fields&item.HasCAS != 0 && r.CAS != it.cas:
		return protocol.Result{Status: protocol.StatusExists}
	case r.Fields&(item.Invalidate|item.RemoveValue) == 0:
		delete(m.items, string(r.Key))
		return protocol.Result{Status: protocol.StatusDeleted}
	}
	if r.Fields&item.RemoveValue != 0 {
		it = modelItem{flags: r.Flags, cas: it.cas, expiry: math.MaxInt64}
	}
	if r.Fields&item.HasExptime != 0 {
		it.expiry = m.expiry(r.Exptime)
	}
	cas := it.cas
	if r.Fields&item.Invalidate != 0 {
		it.stale, it.won = true, false
	}
	it = m.putMeta(r, it)
	if r.Fields&(item.Invalidate|item.HasNewCAS) == 0 {
		it.cas = cas
		m.items[string(r.Key)] = it
	}
	return m.tell(protocol.StatusDeleted, &it)
}

func (m *model) metaCount(r *protocol.Request, it modelItem, found bool) protocol.Result {
	before := it.expiry
	result := protocol.Result{Status: protocol.StatusNumber, Number: r.Initial}
	switch {
	case !found && r.Fields&item.HasVivify == 0:
		return protocol.Result{Status: protocol.StatusNotFound}
	case !found:
		before = math.MaxInt64
		it = modelItem{value: strconv.AppendUint(nil, r.Initial, 10), expiry: m.expiry(r.Vivify)}
	case r.Fields&item.HasCAS != 0 && r.CAS != it.cas:
		return protocol.Result{Status: protocol.StatusExists}
	default:
		if result = m.count(r, it, true); result.Status != protocol.StatusNumber {
			return result
		}
		it = m.items[string(r.Key)]
	}
	if r.Fields&item.HasExptime != 0 && (found || r.Fields&item.TouchBeforeVivify == 0) {
		it.expiry = m.expiry(r.Exptime)
	}
	it = m.putMeta(r, it)
	number := result.Number
	result = m.tell(protocol.StatusNumber, &it)
	result.Number = number
	if r.Fields&item.TTLBefore != 0 {
		result.TTLSeconds = m.ttl(before)
	}
	return result
}
