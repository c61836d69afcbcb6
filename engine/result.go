package engine

import (
	"encoding/binary"
	"fmt"
)

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
// for StatusHit. Flags and CAS are set for StatusHit, and those of the item as it
// is then if there are Details and the operation had an effect.
type Result struct {
	Status Status
	Flags  uint32
	CAS    uint64
	Number uint64
	Key    []byte
	Value  []byte

	// Details are told of operations with Fields, and of OpMetaGet.
	Details
}

// Details are what the item is after the operation.
type Details struct {
	Told        bool  // the rest holds something
	SizeBytes   int   // of the value
	TTLSeconds  int64 // until it expires; -1: never
	Marks       Marks
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
	marksEnd
)

// AppendResult appends the encoding of r to dst.
func AppendResult(dst []byte, r *Result) []byte {
	if r.Told {
		dst = append(dst, byte(r.Status)|detailedBit, byte(r.Marks))
		dst = binary.AppendUvarint(dst, uint64(r.SizeBytes))
		dst = binary.AppendVarint(dst, r.TTLSeconds)
		dst = binary.AppendVarint(dst, r.IdleSeconds)
	} else {
		dst = append(dst, byte(r.Status))
	}
	dst = binary.AppendUvarint(dst, uint64(r.Flags))
	dst = binary.AppendUvarint(dst, r.CAS)
	dst = binary.AppendUvarint(dst, r.Number)
	return appendKeyValue(dst, r.Key, r.Value)
}

// DecodeResult decodes the first result of b and returns what follows it. The
// result's slices alias b.
func DecodeResult(b []byte) (res Result, rest []byte, err error) {
	r := reader{b: b}
	res.Status = Status(r.byte())
	if res.Status&detailedBit != 0 {
		res.Status &^= detailedBit
		res.Told = true
		res.Marks = Marks(r.byte())
		res.SizeBytes = int(r.uint32())
		res.TTLSeconds, res.IdleSeconds = r.varint(), r.varint()
		if res.Marks >= marksEnd {
			r.fail()
		}
	}
	res.Flags = r.uint32()
	res.CAS = r.uvarint()
	res.Number = r.uvarint()
	res.Key, res.Value = r.keyValue()
	if r.failed || res.Status == 0 || res.Status > StatusOutOfBounds {
		return Result{}, nil, fmt.Errorf("decode result of status %d: %w", res.Status, ErrMalformed)
	}
	return res, r.b, nil
}
