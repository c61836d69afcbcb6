package engine

import (
	"math"
	"strconv"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// numberBytesMax is the longest decimal of 64 bits.
const numberBytesMax = 20

// count64 does incr and decr: incr wraps at 64 bits, decr stops at 0, and a
// number shorter than what was there is padded with blanks, as memcached does
// (protocol.txt, "Increment/Decrement").
func (e *Engine) count64(op *Op) item.Result {
	f := e.st.Find(op.Key)
	if !f.Alive {
		return e.beginCount(op, &f)
	}
	_, old, m := f.Read()
	n, ok := parseNumber(old)
	switch {
	case len(old) > 0 && op.Fields&item.HasCAS != 0 && op.CAS != 0 && op.CAS != m.CAS:
		return item.Result{Status: item.StatusExists}
	case !ok:
		return item.Result{Status: item.StatusNonNumeric}
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
	m.Access.Hit = f.Access().Hit
	if len(value) > len(old) {
		// memcached writes a number that fits over the old one, and makes a new
		// item, without its marks, of one that does not.
		m.Marks, m.Access.Hit = 0, false
	}
	before := m.ExpiryMs
	if op.Fields&item.HasExptime != 0 {
		m.ExpiryMs = e.expiryMs(op.Exptime)
	}
	m.CAS = e.newCAS(op)
	if s := e.put(&f, &m, op.Key, value, blanks); s != item.StatusStored {
		return item.Result{Status: s}
	}
	r := e.tell(op, item.StatusNumber, &m, len(value)+len(blanks))
	r.Number = n
	return e.tellBefore(op, r, before)
}

// beginCount makes the number that is counted, if the operation asks for that. The
// result is marked Won, as it is where mg creates an item.
func (e *Engine) beginCount(op *Op, f *store.Place) item.Result {
	if op.Fields&item.HasVivify == 0 {
		return item.Result{Status: item.StatusNotFound}
	}
	var digits [numberBytesMax]byte
	value := strconv.AppendUint(digits[:0], op.Initial, 10)
	m := store.Meta{CAS: e.newCAS(op), ExpiryMs: e.vivifiedExpiryMs(op)}
	if s := e.put(f, &m, op.Key, value, nil); s != item.StatusStored {
		return item.Result{Status: s}
	}
	r := e.tell(op, item.StatusNumber, &m, len(value))
	r.Number, r.Marks = op.Initial, item.Won
	return e.tellBefore(op, r, 0)
}

// parseNumber reads a decimal of 64 bits the way memcached's strtoull does:
// blanks may stand before and after it, or a NUL after it.
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
	return n, digits > 0 && (digits == len(b) || b[digits] == 0 || isBlank(b[digits]))
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
