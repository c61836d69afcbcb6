package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// The ways in which bytes fail to be what a Reader was asked for.
var (
	ErrShort = errors.New("input ends early")
	ErrType  = errors.New("another type is there")
	ErrLimit = errors.New("over the limit")
)

// Reader decodes values one after the other from a slice, which it neither
// changes nor copies. After an error the Reader is of no further use.
type Reader struct{ b []byte }

// NewReader returns a Reader of b.
func NewReader(b []byte) Reader { return Reader{b} }

// Rest returns what was not read yet.
func (r *Reader) Rest() []byte { return r.b }

// take returns the next n bytes.
func (r *Reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)) {
		return nil, fmt.Errorf("take %d of %d bytes: %w", n, len(r.b), ErrShort)
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken, nil
}

// code returns the byte that tells the type of the next value.
func (r *Reader) code() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// bigEndian returns the next n bytes as a number; n is 1, 2, 4 or 8.
func (r *Reader) bigEndian(n uint64) (uint64, error) {
	b, err := r.take(n)
	if err != nil {
		return 0, err
	}
	switch n {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	default:
		return binary.BigEndian.Uint64(b), nil
	}
}

func errType(want string, code byte) error {
	return fmt.Errorf("read %s, have code %#02x: %w", want, code, ErrType)
}

// ArrayLen reads the head of an array of at most limit elements. An array of
// more elements than bytes follow is an error.
func (r *Reader) ArrayLen(limit int) (int, error) {
	c, err := r.code()
	if err != nil {
		return 0, err
	}
	var n uint64
	switch {
	case msgpcode.IsFixedArray(c):
		n = uint64(c & msgpcode.FixedArrayMask)
	case c == msgpcode.Array16:
		n, err = r.bigEndian(2)
	case c == msgpcode.Array32:
		n, err = r.bigEndian(4)
	default:
		return 0, errType("array", c)
	}
	if err != nil {
		return 0, err
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("read array of %d elements, at most %d expected: %w", n, limit, ErrLimit)
	}
	if n > uint64(len(r.b)) {
		return 0, fmt.Errorf("read array of %d elements from %d bytes: %w", n, len(r.b), ErrShort)
	}
	return int(n), nil
}

// Uint64 reads an integer that is not negative.
func (r *Reader) Uint64() (uint64, error) {
	c, err := r.code()
	if err != nil {
		return 0, err
	}
	switch {
	case c <= msgpcode.PosFixedNumHigh:
		return uint64(c), nil
	case c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		return r.bigEndian(1 << (c - msgpcode.Uint8))
	default:
		return 0, errType("unsigned integer", c)
	}
}

// Int64 reads an integer.
func (r *Reader) Int64() (int64, error) {
	if len(r.b) == 0 {
		return 0, fmt.Errorf("read integer: %w", ErrShort)
	}
	switch c := r.b[0]; {
	case c >= msgpcode.NegFixedNumLow:
		r.b = r.b[1:]
		return int64(int8(c)), nil
	case c >= msgpcode.Int8 && c <= msgpcode.Int64:
		r.b = r.b[1:]
		size := uint64(1) << (c - msgpcode.Int8)
		v, err := r.bigEndian(size)
		shift := 64 - 8*size
		return int64(v<<shift) >> shift, err
	default:
		v, err := r.Uint64()
		if err == nil && v > math.MaxInt64 {
			return 0, fmt.Errorf("read integer %d: %w", v, ErrLimit)
		}
		return int64(v), err
	}
}

// Bytes reads a byte string of at most limit bytes. It aliases the input.
func (r *Reader) Bytes(limit int) ([]byte, error) {
	c, err := r.code()
	if err != nil {
		return nil, err
	}
	if c < msgpcode.Bin8 || c > msgpcode.Bin32 {
		return nil, errType("byte string", c)
	}
	return r.sized(1<<(c-msgpcode.Bin8), limit)
}

// sized reads a length of size bytes and what it counts.
func (r *Reader) sized(size uint64, limit int) ([]byte, error) {
	n, err := r.bigEndian(size)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("read %d bytes, at most %d expected: %w", n, limit, ErrLimit)
	}
	return r.take(n)
}

// String reads a text string of at most limit bytes.
func (r *Reader) String(limit int) (string, error) {
	c, err := r.code()
	if err != nil {
		return "", err
	}
	var b []byte
	switch {
	case msgpcode.IsFixedString(c):
		n := int(c & msgpcode.FixedStrMask)
		if n > limit {
			return "", fmt.Errorf("read %d bytes, at most %d expected: %w", n, limit, ErrLimit)
		}
		b, err = r.take(uint64(n))
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		b, err = r.sized(1<<(c-msgpcode.Str8), limit)
	default:
		return "", errType("string", c)
	}
	return string(b), err
}

// Bool reads a boolean.
func (r *Reader) Bool() (bool, error) {
	c, err := r.code()
	if err != nil {
		return false, err
	}
	if c != msgpcode.True && c != msgpcode.False {
		return false, errType("boolean", c)
	}
	return c == msgpcode.True, nil
}

// SkipNil reads nil if that comes next, and reports whether it does.
func (r *Reader) SkipNil() bool {
	found := len(r.b) > 0 && r.b[0] == msgpcode.Nil
	if found {
		r.b = r.b[1:]
	}
	return found
}
