package engine

import (
	"bytes"
	"iter"
	"sync/atomic"

	"raftcached/internal/item"
)

// Results are the outcomes of the operations and reads of one call of Apply, in order. They
// share no memory with the operations or the engine. The zero value has none.
type Results struct {
	// statuses has a byte for each result: its status, and fullBit if there is
	// more to it. Then it is the next one of full. Most results are a status only,
	// and a Result is large.
	statuses []uint8
	full     [][]item.Result // in chunks, so that what is there need not move
	copies   []byte          // holds the keys and values of full

	ledger     *resultLedger
	valueBytes int64 // in the ledger

	hints   [][]byte // keys of reads, see Reader.Credit
	expired int64    // likewise

	few   [fewResults]uint8 // statuses, if they fit
	first [1][]item.Result  // full, as long as it fits
}

const (
	fullBit = 1 << 7

	// fewResults is how many results that are a status only take no allocation of
	// their own.
	fewResults = 16

	// fullChunk is how many results that are more than a status are allocated at a
	// time, and copiesBytesMin the least room for keys and values.
	fullChunk      = 64
	copiesBytesMin = 256

	// copyAloneBytes is the size from which a value gets memory of its own: room for
	// more of its kind behind it would be as large.
	copyAloneBytes = 16 << 10

	// resultBytesMax is the bound of a new engine's results, see LimitResults.
	resultBytesMax = 64 << 20
)

// resultLedger counts the bytes of the values in all Results that were not released.
// Only the applier adds to it.
type resultLedger struct {
	held atomic.Int64
	max  int64
}

// LimitResults bounds the values in all results that Apply has returned and that were
// not released, in bytes. A value beyond that is left out, and its operation, which has
// taken effect, results in StatusOutOfMemory. It is to be called before Apply.
func (e *Engine) LimitResults(bytes int64) { e.results.max = bytes }

// Release says that the results are not needed any more. Any goroutine may call it,
// once.
func (r *Results) Release() {
	if r.valueBytes > 0 {
		r.ledger.held.Add(-r.valueBytes)
	}
}

// admit reports whether there is room for a value of n bytes.
func (r *Results) admit(n int) bool {
	if r.ledger.held.Load()+int64(n) > r.ledger.max {
		return false
	}
	r.ledger.held.Add(int64(n))
	r.valueBytes += int64(n)
	return true
}

// newResults returns Results with room for count statuses.
func newResults(count int, ledger *resultLedger) *Results {
	r := &Results{ledger: ledger}
	if count <= fewResults {
		r.statuses = r.few[:0:count]
	} else {
		r.statuses = make([]uint8, 0, count)
	}
	return r
}

// Len returns how many results there are.
func (r *Results) Len() int { return len(r.statuses) }

// All returns the results in order. Those that are a status only are written to plain,
// where they last until the next one; the others last as long as r.
func (r *Results) All(plain *item.Result) iter.Seq[*item.Result] {
	return func(yield func(*item.Result) bool) {
		n := 0
		for _, s := range r.statuses {
			result := plain
			if s&fullBit != 0 {
				result = &r.full[n/fullChunk][n%fullChunk]
				n++
			} else {
				*plain = item.Result{Status: item.Status(s)}
			}
			if !yield(result) {
				return
			}
		}
	}
}

// add copies a result; full says whether it is more than a status.
func (r *Results) add(result *item.Result, full bool) {
	if len(result.Value) > 0 && !r.admit(len(result.Value)) {
		result, full = &item.Result{Status: item.StatusOutOfMemory}, false
	}
	if !full {
		r.statuses = append(r.statuses, uint8(result.Status))
		return
	}
	kept := r.keep(result)
	kept.Key, kept.Value = r.copy(result.Key), r.copy(result.Value)
}

// addRead adds the result of a read: its key is not copied.
func (r *Results) addRead(result *item.Result) {
	if len(result.Value) > 0 && !r.admit(len(result.Value)) {
		r.statuses = append(r.statuses, uint8(item.StatusOutOfMemory))
		return
	}
	kept := r.keep(result)
	kept.Value = r.copy(result.Value)
}

// keep appends a result that is more than a status, and returns it for its key and value
// to be copied.
func (r *Results) keep(result *item.Result) *item.Result {
	if r.full == nil {
		r.full = r.first[:0]
	}
	last := len(r.full) - 1
	if last < 0 || len(r.full[last]) == fullChunk {
		r.full = append(r.full, make([]item.Result, 0, max(1, min(cap(r.statuses)-len(r.statuses), fullChunk))))
		last++
	}
	r.statuses = append(r.statuses, uint8(result.Status)|fullBit)
	r.full[last] = append(r.full[last], *result)
	return &r.full[last][len(r.full[last])-1]
}

// refuse adds the result of an operation that could not be read; r may be nil.
func (r *Results) refuse() {
	if r != nil {
		r.statuses = append(r.statuses, uint8(item.StatusMalformed))
	}
}

// copy returns a copy of b, nil if that is empty. Earlier copies stay where they
// are.
func (r *Results) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) >= copyAloneBytes {
		return bytes.Clone(b)
	}
	if len(r.copies)+len(b) > cap(r.copies) {
		r.copies = make([]byte, 0, max(2*cap(r.copies), len(b), copiesBytesMin))
	}
	at := len(r.copies)
	r.copies = append(r.copies, b...)
	return r.copies[at:len(r.copies):len(r.copies)]
}
