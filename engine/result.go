package engine

import "iter"

// Status is the outcome of an operation, named after memcached's reply.
type Status uint8

// The outcomes.
const (
	StatusStored Status = iota + 1
	StatusNotStored
	StatusExists
	StatusNotFound
	StatusDeleted
	StatusTouched
	StatusOK
	StatusNumber      // OpIncr, OpDecr: Result.Number is the new value
	StatusHit         // OpGat, OpMetaGet
	StatusMiss        // OpGat, OpMetaGet
	StatusNonNumeric  // OpIncr, OpDecr
	StatusTooLarge    // over the item limit, or half of the memory limit
	StatusOutOfMemory // the limit is reached and nothing may be evicted
	StatusTooSmall    // OpMemoryLimit: below the least
	StatusOutOfBounds // OpMemoryLimit: above what the cluster can grow to
)

// Result is the outcome of one operation. Key is set for OpGat and OpMetaGet; Value
// for StatusHit. Flags and CAS are set for StatusHit. If the operation has Fields,
// or is an OpMetaGet, they are those of the item after the operation, and so are
// the fields after Value; otherwise these are 0.
type Result struct {
	Status Status
	Marks  Marks
	Flags  uint32
	CAS    uint64
	Number uint64
	Key    []byte
	Value  []byte

	SizeBytes   int   // of the value
	TTLSeconds  int64 // until it expires; -1: never
	IdleSeconds int64 // between the last access and this one, as this node knows it
}

// Marks are what clients of the meta commands tell each other by an item.
type Marks uint8

// The marks. Won is of a result, Stale and AlreadyWon are state, HitBefore is
// what this node knows.
const (
	Won        Marks = 1 << iota // whoever asked is to fetch the item anew; of OpIncr and OpDecr: it was created
	Stale                        // it was invalidated
	AlreadyWon                   // somebody was told to fetch it anew
	HitBefore                    // it was read before
)

// Results are the outcomes of the operations of one call of Apply, in order. They
// share no memory with the operations or the engine. The zero value has none.
type Results struct {
	// statuses has a byte for each result: its status, and fullBit if there is
	// more to it. Then it is the next one of full. Most results are a status only,
	// and a Result is large.
	statuses []uint8
	full     []Result
	copies   []byte // holds the keys and values of full

	few [fewResults]uint8 // statuses, as long as they fit
}

const (
	fullBit = 1 << 7

	// fewResults is how many results that are a status only take no allocation of
	// their own.
	fewResults = 16

	// fullAhead bounds how many results there is room for once one is more than a
	// status, and copiesBytesMin is the least room for keys and values.
	fullAhead      = 64
	copiesBytesMin = 256
)

// newResults returns Results with room for count statuses.
func newResults(count int) *Results {
	r := new(Results)
	if count <= fewResults {
		r.statuses = r.few[:0:count]
	} else {
		r.statuses = make([]uint8, 0, count)
	}
	return r
}

// Len returns how many results there are.
func (r *Results) Len() int { return len(r.statuses) }

// All returns the results in order. Each is valid until the next one; its Key and
// Value last as long as r.
func (r *Results) All() iter.Seq[*Result] {
	return func(yield func(*Result) bool) {
		full, plain := r.full, new(Result)
		for _, s := range r.statuses {
			result := plain
			if s&fullBit != 0 {
				result, full = &full[0], full[1:]
			} else {
				*plain = Result{Status: Status(s)}
			}
			if !yield(result) {
				return
			}
		}
	}
}

// add copies a result; full says whether it is more than a status.
func (r *Results) add(result *Result, full bool) {
	if !full {
		r.statuses = append(r.statuses, uint8(result.Status))
		return
	}
	if r.full == nil {
		r.full = make([]Result, 0, min(cap(r.statuses)-len(r.statuses), fullAhead))
	}
	r.statuses = append(r.statuses, uint8(result.Status)|fullBit)
	r.full = append(r.full, *result)
	last := &r.full[len(r.full)-1]
	last.Key, last.Value = r.copy(result.Key), r.copy(result.Value)
}

// copy returns a copy of b, nil if that is empty. Earlier copies stay where they
// are.
func (r *Results) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(r.copies)+len(b) > cap(r.copies) {
		r.copies = make([]byte, 0, max(2*cap(r.copies), len(b), copiesBytesMin))
	}
	at := len(r.copies)
	r.copies = append(r.copies, b...)
	return r.copies[at:len(r.copies):len(r.copies)]
}
