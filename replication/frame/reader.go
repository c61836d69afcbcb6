package frame

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
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

// kind is a type of values: its name, and whether a value that begins with code
// is of it. The library is less strict: it reads nil as the zero of any type,
// strings as bytes, and negative integers as large ones.
type kind struct {
	name string
	has  func(code byte) bool
}

var (
	array = kind{"array", func(c byte) bool {
		return msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32
	}}
	unsigned = kind{"unsigned integer", func(c byte) bool {
		return c <= msgpcode.PosFixedNumHigh || msgpcode.Uint8 <= c && c <= msgpcode.Uint64
	}}
	integer = kind{"integer", func(c byte) bool {
		return msgpcode.IsFixedNum(c) || msgpcode.Uint8 <= c && c <= msgpcode.Int64
	}}
	byteString = kind{"byte string", msgpcode.IsBin}
	textString = kind{"string", msgpcode.IsString}
	boolean    = kind{"boolean", func(c byte) bool { return c == msgpcode.True || c == msgpcode.False }}
)

// decoder is a decoder of the library that reads from a slice. The library reads
// from a bytes.Reader directly, without a buffer in between, and allocates only
// for what it returns: nothing for numbers and lengths.
type decoder struct {
	*msgpack.Decoder
	in bytes.Reader
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.Decoder = msgpack.NewDecoder(&d.in)
	return d
}}

// begin returns a decoder that is at the next value, which must be of kind k.
// finish ends its use.
func (r *Reader) begin(k *kind) (*decoder, error) {
	if len(r.b) == 0 {
		return nil, fmt.Errorf("read %s: %w", k.name, ErrShort)
	}
	if code := r.b[0]; !k.has(code) {
		return nil, fmt.Errorf("read %s, have code %#02x: %w", k.name, code, ErrType)
	}
	d := decoders.Get().(*decoder)
	d.in.Reset(r.b)
	return d, nil
}

// finish takes over what d has left, and gives d back. err is what d said: as the
// kind was right, it can only be that the input ends early.
func (r *Reader) finish(d *decoder, k *kind, err error) error {
	r.b = r.b[len(r.b)-d.in.Len():]
	d.in.Reset(nil)
	decoders.Put(d)
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", k.name, ErrShort, err)
	}
	return nil
}

// ArrayLen reads the head of an array of at most limit elements. An array of
// more elements than bytes follow is an error.
func (r *Reader) ArrayLen(limit int) (int, error) {
	d, err := r.begin(&array)
	if err != nil {
		return 0, err
	}
	n, err := d.DecodeArrayLen()
	err = r.finish(d, &array, err)
	switch {
	case err != nil:
		return 0, err
	case n > limit:
		return 0, fmt.Errorf("read array of %d elements, at most %d expected: %w", n, limit, ErrLimit)
	case n > len(r.b):
		return 0, fmt.Errorf("read array of %d elements from %d bytes: %w", n, len(r.b), ErrShort)
	}
	return n, nil
}

// Uint64 reads an integer that is not negative.
func (r *Reader) Uint64() (uint64, error) {
	d, err := r.begin(&unsigned)
	if err != nil {
		return 0, err
	}
	v, err := d.DecodeUint64()
	return v, r.finish(d, &unsigned, err)
}

// Int64 reads an integer.
func (r *Reader) Int64() (int64, error) {
	d, err := r.begin(&integer)
	if err != nil {
		return 0, err
	}
	isLarge := r.b[0] == msgpcode.Uint64
	v, err := d.DecodeInt64()
	err = r.finish(d, &integer, err)
	if err == nil && isLarge && v < 0 {
		return 0, fmt.Errorf("read integer %d: %w", uint64(v), ErrLimit)
	}
	return v, err
}

// Bytes reads a byte string of at most limit bytes. It aliases the input.
func (r *Reader) Bytes(limit int) ([]byte, error) { return r.sized(&byteString, limit) }

// String reads a text string of at most limit bytes.
func (r *Reader) String(limit int) (string, error) {
	b, err := r.sized(&textString, limit)
	return string(b), err
}

// sized reads a string of either kind of at most limit bytes. The library reads
// its length alone: it would copy the bytes.
func (r *Reader) sized(k *kind, limit int) ([]byte, error) {
	d, err := r.begin(k)
	if err != nil {
		return nil, err
	}
	n, err := d.DecodeBytesLen()
	err = r.finish(d, k, err)
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, fmt.Errorf("read %s of %d bytes, at most %d expected: %w", k.name, n, limit, ErrLimit)
	case n > len(r.b):
		return nil, fmt.Errorf("read %s of %d bytes from %d: %w", k.name, n, len(r.b), ErrShort)
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b, nil
}

// Bool reads a boolean.
func (r *Reader) Bool() (bool, error) {
	d, err := r.begin(&boolean)
	if err != nil {
		return false, err
	}
	v, err := d.DecodeBool()
	return v, r.finish(d, &boolean, err)
}

// SkipNil reads nil if that comes next, and reports whether it does.
func (r *Reader) SkipNil() bool {
	found := len(r.b) > 0 && r.b[0] == msgpcode.Nil
	if found {
		r.b = r.b[1:]
	}
	return found
}
