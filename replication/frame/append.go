package frame

import (
	"encoding/binary"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// AppendArrayLen appends the head of an array of n elements.
func AppendArrayLen(dst []byte, n int) []byte {
	switch {
	case n <= 15:
		return append(dst, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Array16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Array32), uint32(n))
	}
}

// AppendUint appends an unsigned integer in its shortest form.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v <= math.MaxInt8:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, msgpcode.Uint8, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Uint16), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, msgpcode.Uint64), v)
	}
}

// AppendInt appends a signed integer in its shortest form.
func AppendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, msgpcode.Int8, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Int16), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Int32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, msgpcode.Int64), uint64(v))
	}
}

// AppendBytes appends a byte string. Its length must fit 32 bits.
func AppendBytes(dst, b []byte) []byte { return append(AppendBytesLen(dst, len(b)), b...) }

// AppendBytesLen appends the head of a byte string of n bytes, which the caller
// appends.
func AppendBytesLen(dst []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, msgpcode.Bin8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Bin16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Bin32), uint32(n))
	}
}

// AppendString appends a text string. Its length must fit 32 bits.
func AppendString(dst []byte, s string) []byte {
	switch n := len(s); {
	case n <= 31:
		dst = append(dst, msgpcode.FixedStrLow|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, msgpcode.Str8, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, msgpcode.Str16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, msgpcode.Str32), uint32(n))
	}
	return append(dst, s...)
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, msgpcode.True)
	}
	return append(dst, msgpcode.False)
}

// AppendNil appends nil.
func AppendNil(dst []byte) []byte { return append(dst, msgpcode.Nil) }
