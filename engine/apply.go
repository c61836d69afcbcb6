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
		e.tidy(e.stored) // r may alias memory that this gives back
		e.stored = 0
	}
	if len(ops) > 0 {
		return results, fmt.Errorf("%d bytes behind %d operations: %w", len(ops), count, ErrMalformed)
	}
	return results, nil
}

func (e *Engine) do(op *Op) Result {
	switch op.Kind {
	case OpSet, OpAdd, OpReplace, OpCAS:
		return Result{Status: e.storeItem(op)}
	case OpAppend, OpPrepend:
		return Result{Status: e.concat(op)}
	case OpTouch:
		if f := e.find(op.Key); f.alive {
			e.touch(op, &f)
			return Result{Status: StatusTouched}
		}
		return Result{Status: StatusNotFound}
	case OpGat:
		f := e.find(op.Key)
		if !f.alive {
			return Result{Status: StatusMiss, Key: op.Key}
		}
		_, value, m := f.record.read(f.head) // valid until the next tidy
		e.lent = true
		e.touch(op, &f)
		e.lent = false
		return Result{Status: StatusHit, Key: op.Key, Flags: m.flags, CAS: m.cas, Value: value}
	case OpDelete:
		f := e.find(op.Key)
		if !f.alive {
			return Result{Status: StatusNotFound}
		}
		e.mutations++
		e.st.remove(f.hash, f.handle)
		return Result{Status: StatusDeleted}
	case OpIncr, OpDecr:
		return e.count64(op)
	case OpFlushAll:
		e.flush(op)
		return Result{Status: StatusOK}
	case OpInit:
		return Result{Status: e.form(op)}
	case OpMemoryLimit:
		return Result{Status: e.setMemoryLimit(op)}
	default: // OpDiscard; DecodeOp lets nothing else pass
		e.discard(op.Key)
		return Result{Status: StatusTooLarge}
	}
}

// found is what a key was found to hold: handle 0 if nothing, and else an item
// that may have expired.
type found struct {
	hash   uint64
	handle handle
	slot   slot
	record record
	head   uint32
	alive  bool
}

func (e *Engine) find(key []byte) found {
	f := found{hash: hashKey(key)}
	if f.handle, f.slot = e.st.index.lookup(f.hash, key); f.handle != 0 {
		f.record = e.st.arena.record(f.handle)
		f.head = f.record.load()
		f.alive = e.st.alive(f.record, f.head)
	}
	return f
}

// storeItem does set, add, replace and cas (protocol.txt, "Storage commands").
func (e *Engine) storeItem(op *Op) Status {
	f := e.find(op.Key)
	switch {
	case op.Kind == OpAdd && f.alive, op.Kind == OpReplace && !f.alive:
		return StatusNotStored
	case op.Kind == OpCAS && !f.alive:
		return StatusNotFound
	case op.Kind == OpCAS:
		if _, _, m := f.record.read(f.head); m.cas != op.CAS {
			return StatusExists
		}
	}
	m := meta{flags: op.Flags, expiryMs: e.expiryMs(op.Exptime)}
	s := e.put(&f, &m, op.Key, op.Value, nil)
	if s != StatusStored && op.Kind == OpSet {
		// Like memcached: rather no value than a stale one.
		e.discard(op.Key)
	}
	return s
}

// concat does append and prepend: flags and expiry stay those of the old item.
func (e *Engine) concat(op *Op) Status {
	f := e.find(op.Key)
	if !f.alive {
		return StatusNotStored
	}
	_, head, m := f.record.read(f.head)
	tail := op.Value
	if op.Kind == OpPrepend {
		head, tail = tail, head
	}
	if e.put(&f, &m, op.Key, head, tail) != StatusStored {
		return StatusNotStored // as memcached answers when it cannot make the longer item
	}
	return StatusStored
}

// itemHeaderBytes is what memcached's item has besides key and value, and
// clientFlagsBytes what it has in addition if the flags are not 0.
const (
	itemHeaderBytes  = 59
	clientFlagsBytes = 4
)

// admit decides whether an item may be stored in the place of f.
func (e *Engine) admit(f *found, m *meta, keyLen, valueLen int) Status {
	size := itemHeaderBytes + keyLen + valueLen
	if m.flags != 0 {
		size += clientFlagsBytes
	}
	charge := chargeOf(roundUp(shapeOf(headFor(m, keyLen, valueLen), valueLen).end))
	if size > e.limits.ItemBytesMax || charge > e.limits.MemoryBytes/2 {
		return StatusTooLarge
	}
	if e.limits.NoEvict {
		if f.handle != 0 && !e.st.gone(f.record, f.head) {
			charge -= chargeOf(f.record.sizeBytes(f.head))
		}
		if e.st.total()+charge > e.limits.MemoryBytes {
			return StatusOutOfMemory
		}
	}
	return StatusStored
}

// put stores an item under the next number, in the place of f, which holds
// whatever has its key. Its value is value followed by tail; both may alias the
// old item.
func (e *Engine) put(f *found, m *meta, key, value, tail []byte) Status {
	m.cas = e.mutations + 1
	if s := e.admit(f, m, len(key), len(value)+len(tail)); s != StatusStored {
		return s
	}
	e.mutations++
	e.totalItems++
	e.replace(f, m, key, value, tail)
	return StatusStored
}

// replace stores an item in the place of f. What has expired is not stored.
func (e *Engine) replace(f *found, m *meta, key, value, tail []byte) {
	now := e.st.timeMs.Load()
	if m.expiryMs != 0 && m.expiryMs <= now {
		if f.handle != 0 {
			e.st.remove(f.hash, f.handle)
		}
		return
	}
	m.level = 0
	if m.expiryMs != 0 {
		m.level = levelFor(now, m.expiryMs)
	}
	q := e.queueFor(f)
	m.freq = 0
	if f.alive && e.st.segmentOf(f.handle).queue == queueMain {
		m.freq = min(freqMax, f.head&freqMask+1)
	}
	e.note(eventStore, f.hash)
	h := e.st.add(q, f.hash, f.handle, f.slot, m, key, value, tail)
	r := e.st.arena.record(h)
	charge := chargeOf(r.sizeBytes(r.load()))
	e.makeRoom(h, charge)
	e.stored += charge
}

// discard removes whatever has the key, alive or not.
func (e *Engine) discard(key []byte) {
	if f := e.find(key); f.handle != 0 {
		e.st.remove(f.hash, f.handle)
	}
}

// touch sets the expiry of a live item. The cas unique stays.
func (e *Engine) touch(op *Op, f *found) {
	e.mutations++
	_, value, m := f.record.read(f.head)
	m.expiryMs = e.expiryMs(op.Exptime)
	e.replace(f, &m, op.Key, value, nil)
}

// count64 does incr and decr: incr wraps at 64 bits, decr stops at 0, and a
// number shorter than what was there is padded with blanks, as memcached does
// (protocol.txt, "Increment/Decrement").
func (e *Engine) count64(op *Op) Result {
	f := e.find(op.Key)
	if !f.alive {
		return Result{Status: StatusNotFound}
	}
	_, old, m := f.record.read(f.head)
	n, ok := parseNumber(old)
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
	var digits [numberBytesMax]byte
	value := strconv.AppendUint(digits[:0], n, 10)
	blanks := e.blanks[:0]
	for len(value)+len(blanks) < len(old) {
		blanks = append(blanks, ' ')
	}
	e.blanks = blanks
	if s := e.put(&f, &m, op.Key, value, blanks); s != StatusStored {
		return Result{Status: s}
	}
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
	if at := e.expiryMs(op.Exptime); op.Exptime > 0 && at > e.st.timeMs.Load() {
		e.pendingFlush = at
		return
	}
	e.clear()
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
		return max(1, e.st.timeMs.Load())
	case exptime <= relativeExptimeMax:
		return max(1, e.st.timeMs.Load()+exptime*msPerSecond)
	default:
		return exptime * msPerSecond
	}
}
