package engine

import (
	"fmt"
	"math"
	"strconv"
)

const (
	// relativeExptimeMax is the largest exptime that is relative to now, in
	// seconds (protocol.txt, "Expiration times").
	relativeExptimeMax = 60 * 60 * 24 * 30

	msPerSecond = 1000

	// numberBytesMax is the longest decimal of 64 bits.
	numberBytesMax = 20

	// memoryLimitMinBytes is the least that OpMemoryLimit sets, memcached's.
	memoryLimitMinBytes = 8 << 20
)

// Apply applies the count operations of ops, in order, and appends an encoded
// result for each to results if want is set. Bytes that are no operations are an
// error, alike on all nodes; what came before them is applied.
func (e *Engine) Apply(count int, ops, results []byte, want bool) ([]byte, error) {
	defer e.publish()
	for i := range count {
		op, rest, err := DecodeOp(ops)
		if err != nil {
			return results, fmt.Errorf("operation %d of %d: %w", i, count, err)
		}
		ops = rest
		r := e.do(&op)
		if want {
			results = AppendResult(results, &r)
		}
	}
	if len(ops) > 0 {
		return results, fmt.Errorf("%d bytes behind %d operations: %w", len(ops), count, ErrMalformed)
	}
	return results, nil
}

func (e *Engine) do(op *Op) Result {
	switch op.Kind {
	case OpSet, OpAdd, OpReplace, OpCAS:
		return Result{Status: e.store(op)}
	case OpAppend, OpPrepend:
		return Result{Status: e.concat(op)}
	case OpTouch:
		if e.touch(op) == nil {
			return Result{Status: StatusNotFound}
		}
		return Result{Status: StatusTouched}
	case OpGat:
		it := e.touch(op)
		if it == nil {
			return Result{Status: StatusMiss, Key: op.Key}
		}
		return Result{Status: StatusHit, Key: op.Key, Flags: it.flags, CAS: it.cas, Value: it.value()}
	case OpDelete:
		it := e.find(op.Key)
		if it == nil {
			return Result{Status: StatusNotFound}
		}
		e.mutations++
		e.remove(it)
		return Result{Status: StatusDeleted}
	case OpIncr, OpDecr:
		return e.count64(op)
	case OpFlushAll:
		e.flush(op)
		return Result{Status: StatusOK}
	case OpInit:
		return Result{Status: StatusOK}
	case OpMemoryLimit:
		if op.Delta < memoryLimitMinBytes {
			return Result{Status: StatusTooSmall}
		}
		e.limits.MemoryBytes = int64(op.Delta)
		return Result{Status: StatusOK}
	default: // OpDiscard; DecodeOp lets nothing else pass
		e.discard(op.Key)
		return Result{Status: StatusTooLarge}
	}
}

// store does set, add, replace and cas (protocol.txt, "Storage commands").
func (e *Engine) store(op *Op) Status {
	old := e.find(op.Key)
	switch {
	case op.Kind == OpAdd && old != nil, op.Kind == OpReplace && old == nil:
		return StatusNotStored
	case op.Kind == OpCAS && old == nil:
		return StatusNotFound
	case op.Kind == OpCAS && old.cas != op.CAS:
		return StatusExists
	}
	charge := int64(len(op.Key)+len(op.Value)) + itemOverheadBytes
	if s := e.admit(charge, old); s != StatusStored {
		if op.Kind == OpSet {
			// Like memcached: rather no value than a stale one.
			e.discard(op.Key)
		}
		return s
	}
	it := newItem(op.Key, op.Value, nil)
	it.flags = op.Flags
	it.expiryMs = e.expiryMs(op.Exptime)
	e.put(it)
	return StatusStored
}

// concat does append and prepend: flags and expiry stay those of the old item.
func (e *Engine) concat(op *Op) Status {
	old := e.find(op.Key)
	if old == nil {
		return StatusNotStored
	}
	if e.admit(old.charge()+int64(len(op.Value)), old) != StatusStored {
		return StatusNotStored // as memcached answers when it cannot make the longer item
	}
	head, tail := old.value(), op.Value
	if op.Kind == OpPrepend {
		head, tail = tail, head
	}
	it := newItem(op.Key, head, tail)
	it.flags, it.expiryMs = old.flags, old.expiryMs
	e.put(it)
	return StatusStored
}

// admit decides whether an item of the given charge may be stored in the place
// of old, which may be nil.
func (e *Engine) admit(charge int64, old *item) Status {
	if charge > int64(e.limits.ItemBytesMax) || charge > e.limits.MemoryBytes/2 {
		return StatusTooLarge
	}
	if !e.limits.NoEvict {
		return StatusStored
	}
	if old != nil {
		charge -= old.charge()
	}
	for e.bytes+charge > e.limits.MemoryBytes {
		if !e.removeFlushed() && !e.removeExpired() {
			return StatusOutOfMemory
		}
	}
	return StatusStored
}

// put stores it under the next number, in the place of whatever has its key. To
// make room what is dead goes first, and then the oldest.
func (e *Engine) put(it *item) {
	if old := e.shard(it.key()).items[string(it.key())]; old != nil {
		e.unlink(old)
	}
	for e.bytes+it.charge() > e.limits.MemoryBytes {
		if !e.removeFlushed() && !e.removeExpired() {
			e.remove(e.queue.oldest())
			e.evictions++
		}
	}
	e.mutations++
	e.total++
	it.order, it.cas = e.mutations, e.mutations
	it.seal()
	e.insert(it)
}

// discard removes whatever has the key, alive or not.
func (e *Engine) discard(key []byte) {
	if it := e.shard(key).items[string(key)]; it != nil {
		e.remove(it)
	}
}

// touch sets the expiry of a live item, which it returns, or nil. The cas unique
// and the place in the queue stay.
func (e *Engine) touch(op *Op) *item {
	old := e.find(op.Key)
	if old == nil {
		return nil
	}
	e.mutations++
	it := &item{
		bytes: old.bytes, keyLen: old.keyLen, flags: old.flags, cas: old.cas, order: old.order,
		expiryMs: e.expiryMs(op.Exptime), heapAt: -1,
	}
	it.seal()
	e.substitute(old, it)
	return it
}

// count64 does incr and decr: incr wraps at 64 bits, decr stops at 0, and a
// number shorter than what was there is padded with blanks, as memcached does
// (protocol.txt, "Increment/Decrement").
func (e *Engine) count64(op *Op) Result {
	old := e.find(op.Key)
	if old == nil {
		return Result{Status: StatusNotFound}
	}
	n, ok := parseNumber(old.value())
	if !ok {
		return Result{Status: StatusNonNumeric}
	}
	switch {
	case op.Kind == OpIncr:
		n += op.Delta
	case n < op.Delta:
		n = 0
	default:
		n -= op.Delta
	}
	value := strconv.AppendUint(make([]byte, 0, max(numberBytesMax, len(old.value()))), n, 10)
	for len(value) < len(old.value()) {
		value = append(value, ' ')
	}
	charge := int64(len(op.Key)+len(value)) + itemOverheadBytes
	if s := e.admit(charge, old); s != StatusStored {
		return Result{Status: s}
	}
	it := newItem(op.Key, value, nil)
	it.flags, it.expiryMs = old.flags, old.expiryMs
	e.put(it)
	return Result{Status: StatusNumber, Number: n}
}

// parseNumber reads a decimal of 64 bits the way memcached's strtoull does:
// blanks may stand before and behind it.
func parseNumber(b []byte) (uint64, bool) {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	var n uint64
	digits := 0
	for ; digits < len(b) && b[digits] >= '0' && b[digits] <= '9'; digits++ {
		d := uint64(b[digits] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, digits > 0 && (digits == len(b) || isBlank(b[digits]))
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// flush does flush_all: now, or when the time has come. Of delayed ones the last
// wins, and an immediate one cancels it.
func (e *Engine) flush(op *Op) {
	e.mutations++
	e.pendingFlush = 0
	if at := e.expiryMs(op.Exptime); op.Exptime > 0 && at > e.timeMs.Load() {
		e.pendingFlush = at
		return
	}
	e.horizon.Store(e.mutations)
}

// expiryMs turns a client's exptime into the time at which an item expires, in
// ms of Unix time, or 0 for never (protocol.txt, "Expiration times"). Like
// memcached it looks at 32 bits.
func (e *Engine) expiryMs(exptime int64) int64 {
	exptime = int64(int32(exptime))
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return max(1, e.timeMs.Load())
	case exptime <= relativeExptimeMax:
		return max(1, e.timeMs.Load()+exptime*msPerSecond)
	default:
		return exptime * msPerSecond
	}
}
