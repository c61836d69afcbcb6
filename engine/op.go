package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"raftcached/internal/item"
)

// OpKind says what an operation does.
type OpKind uint8

// The operations, one for each command of memcached that writes. OpSetTooLarge
// stands for a set whose item was too large: as in memcached the old item is deleted.
// OpInit and OpOffset are the cluster's own, see Engine.Formation and Engine.Correction;
// those of a fill are in fill.go.
const (
	OpSet OpKind = iota + 1
	OpAdd
	OpReplace
	OpAppend
	OpPrepend
	OpCAS
	OpTouch
	OpGat
	OpDelete
	OpIncr
	OpDecr
	OpFlushAll
	OpSetTooLarge
	OpInit
	OpMemoryLimit
	OpMetaGet // a read that may change the item: Exptime, Vivify, Recache, or because it is stale
	OpFillBegin
	OpFillItems
	OpFillEnd
	OpFillAbandon
	OpOffset
	opKindEnd
)

// String names the operation.
func (k OpKind) String() string {
	names := [...]string{
		"none", "set", "add", "replace", "append", "prepend", "cas", "touch", "gat", "delete", "incr", "decr", "flush_all",
		"set of a too large item", "formation", "cache_memlimit", "meta get", "fill begins", "fill items", "fill ends", "fill is given up",
		"offset of the time", "unknown",
	}
	return names[min(k, opKindEnd)]
}

// valid reports whether there is such an operation.
func (k OpKind) valid() bool { return k > 0 && k < opKindEnd }

// hasKey reports whether the operation is one on a key.
func (k OpKind) hasKey() bool {
	return k != OpFlushAll && k != OpInit && k != OpMemoryLimit && k != OpOffset && !k.fills()
}

// fills reports whether the operation is one of a fill.
func (k OpKind) fills() bool { return k >= OpFillBegin && k <= OpFillAbandon }

// ErrMalformed tells that bytes are no operation or image.
var ErrMalformed = errors.New("malformed")

// Op is one operation. Exptime is what the client sent: 0 never, negative at
// once, up to 30 days relative seconds, beyond that Unix time; for OpFlushAll
// it is the delay, for OpOffset milliseconds.
type Op struct {
	Kind    OpKind
	Flags   uint32
	Exptime int64
	CAS     uint64 // OpCAS; OpFillItems, OpFillEnd: FillPlan.ID
	Delta   uint64 // OpIncr, OpDecr; OpMemoryLimit: bytes; OpFillItems: number of the chunk
	Key     []byte
	Value   []byte

	// What the meta commands and the binary protocol add. The result of an
	// operation with Fields other than 0, and of OpMetaGet, is detailed.
	Fields  item.Fields
	NewCAS  uint64 // HasNewCAS
	Initial uint64 // HasInitial: OpIncr and OpDecr create what is missing, with HasVivify
	Vivify  int64  // HasVivify: exptime of an item that is created because there is none
	Recache int64  // HasRecache: OpMetaGet: time left, in seconds, below which a client is to fetch again
}

// detailed reports whether the result reports the item as it is after the operation.
func (op *Op) detailed() bool { return op.Fields != 0 || op.Kind == OpMetaGet }

// detailedBit in an encoded kind says that more fields follow.
const detailedBit = 1 << 7

// AppendOp appends the encoding of op to dst.
func AppendOp(dst []byte, op *Op) []byte {
	if op.Fields == 0 {
		dst = append(dst, byte(op.Kind))
	} else {
		dst = append(dst, byte(op.Kind)|detailedBit)
		dst = binary.AppendUvarint(dst, uint64(op.Fields))
		dst = binary.AppendUvarint(dst, op.NewCAS)
		dst = binary.AppendUvarint(dst, op.Initial)
		dst = binary.AppendVarint(dst, op.Vivify)
		dst = binary.AppendVarint(dst, op.Recache)
	}
	dst = binary.AppendUvarint(dst, uint64(op.Flags))
	dst = binary.AppendVarint(dst, op.Exptime)
	dst = binary.AppendUvarint(dst, op.CAS)
	dst = binary.AppendUvarint(dst, op.Delta)
	return appendKeyValue(dst, op.Key, op.Value)
}

func appendKeyValue(dst, key, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	dst = append(dst, key...)
	return append(dst, value...)
}

// DecodeOp decodes the first operation of b and returns what follows it. The
// operation's slices alias b.
func DecodeOp(b []byte) (op Op, rest []byte, err error) {
	r := reader{b: b}
	op.Kind = OpKind(r.byte())
	if op.Kind&detailedBit != 0 {
		op.Kind &^= detailedBit
		fields := r.uvarint()
		if fields == 0 || fields > uint64(item.AllFields) {
			r.fail()
		}
		op.Fields = item.Fields(fields)
		op.NewCAS, op.Initial = r.uvarint(), r.uvarint()
		op.Vivify, op.Recache = r.varint(), r.varint()
	}
	op.Flags = r.uint32()
	op.Exptime = r.varint()
	op.CAS = r.uvarint()
	op.Delta = r.uvarint()
	op.Key, op.Value = r.keyValue()
	if r.failed || !op.Kind.valid() || len(op.Key) > item.KeyBytesMax || op.Kind.hasKey() != (len(op.Key) > 0) {
		return Op{}, nil, fmt.Errorf("decode operation of kind %d: %w", op.Kind, ErrMalformed)
	}
	return op, r.b, nil
}

// reader decodes from b; once it has failed everything reads as zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) fail() {
	r.b, r.failed = nil, true
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail()
	}
	return uint32(v)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) keyValue() (key, value []byte) {
	k, v := r.uvarint(), r.uvarint()
	return r.take(k), r.take(v)
}
