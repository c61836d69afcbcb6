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
	StatusHit         // OpGat
	StatusMiss        // OpGat
	StatusNonNumeric  // OpIncr, OpDecr
	StatusTooLarge    // over the item limit, or half of the memory limit
	StatusOutOfMemory // the limit is reached and nothing may be evicted
	StatusTooSmall    // OpMemoryLimit: below the least
	StatusOutOfBounds // OpMemoryLimit: above what the cluster can grow to
)

// Result is the outcome of one operation. Key is set for OpGat; Flags, CAS and
// Value for StatusHit.
type Result struct {
	Status Status
	Flags  uint32
	CAS    uint64
	Number uint64
	Key    []byte
	Value  []byte
}

// AppendResult appends the encoding of r to dst.
func AppendResult(dst []byte, r *Result) []byte {
	dst = append(dst, byte(r.Status))
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
	res.Flags = r.uint32()
	res.CAS = r.uvarint()
	res.Number = r.uvarint()
	res.Key, res.Value = r.keyValue()
	if r.failed || res.Status == 0 || res.Status > StatusOutOfBounds {
		return Result{}, nil, fmt.Errorf("decode result of status %d: %w", res.Status, ErrMalformed)
	}
	return res, r.b, nil
}
