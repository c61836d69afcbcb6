package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol"
)

// The operations of memory, with memcached's semantics.

// expiry returns the moment of an expiry time; zero for never. b.mu is held.
func (b *memory) expiry(exptime int64) time.Time {
	now := b.now()
	switch exptime = int64(int32(exptime)); {
	case exptime == 0:
		return time.Time{}
	case exptime < 0:
		return now
	case exptime <= 30*24*60*60:
		return now.Add(time.Duration(exptime) * time.Second)
	}
	return time.Unix(exptime, 0)
}

// touch executes touch, gat and gats. b.mu is held.
func (b *memory) touch(op *operation, it storedItem, found bool) protocol.Result {
	miss, hit := protocol.StatusMiss, protocol.StatusHit
	if op.Command == protocol.Touch {
		miss, hit = protocol.StatusNotFound, protocol.StatusTouched
	}
	if !found {
		return protocol.Result{Status: miss, Key: []byte(op.key)}
	}
	it.expires = b.expiry(op.Exptime)
	b.items[op.key] = it
	return protocol.Result{Status: hit, Key: []byte(op.key), Value: it.value, Flags: it.flags, CAS: it.cas}
}

// count executes incr and decr. b.mu is held.
func (b *memory) count(op *operation, it storedItem, found bool) protocol.Result {
	if !found {
		return protocol.Result{Status: protocol.StatusNotFound}
	}
	digits, _, _ := strings.Cut(strings.TrimLeft(string(it.value), " "), " ")
	n, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 64)
	if err != nil {
		return protocol.Result{Status: protocol.StatusNonNumeric}
	}
	switch {
	case op.Command == protocol.Incr:
		n += op.Delta
	case op.Delta > n:
		n = 0
	default:
		n -= op.Delta
	}
	width := len(it.value)
	it.value = strconv.AppendUint(nil, n, 10)
	for len(it.value) < width { // memcached keeps the length
		it.value = append(it.value, ' ')
	}
	b.cas++
	it.cas = b.cas
	b.items[op.key] = it
	return protocol.Result{Status: protocol.StatusNumber, Number: n, CAS: it.cas}
}

// store executes the storage commands. b.mu is held.
func (b *memory) store(op *operation, it storedItem, found bool) protocol.Status {
	switch {
	case op.TooLarge:
		if op.Command == protocol.Set {
			delete(b.items, op.key)
		}
		return protocol.StatusTooLarge
	case len(op.key)+len(it.value)+len(op.Value) > itemBytesDefault-64 && (op.Command == protocol.Append || op.Command == protocol.Prepend):
		return protocol.StatusNotStored
	case op.Command == protocol.Add && found,
		!found && (op.Command == protocol.Replace || op.Command == protocol.Append || op.Command == protocol.Prepend):
		return protocol.StatusNotStored
	case op.Command == protocol.CAS && !found:
		return protocol.StatusNotFound
	case op.Command == protocol.CAS && it.cas != op.CAS:
		return protocol.StatusExists
	}
	b.cas++
	switch op.Command {
	case protocol.Append:
		it.value = slices.Concat(it.value, op.Value)
	case protocol.Prepend:
		it.value = slices.Concat(op.Value, it.value)
	default:
		it = storedItem{value: op.Value, flags: op.Flags, expires: b.expiry(op.Exptime), stored: b.now()}
	}
	it.cas = b.cas
	b.items[op.key] = it
	return protocol.StatusStored
}
