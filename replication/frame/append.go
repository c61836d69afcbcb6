package frame

import (
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// encoder is an encoder of the library that appends to a slice.
type encoder struct {
	*msgpack.Encoder
	out output
}

// output appends what is written to a slice. It never fails.
type output struct{ b []byte }

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.b = append(o.b, b...)
	return len(b), nil
}

// WriteByte implements io.ByteWriter. Without it the library would allocate
// for each byte.
func (o *output) WriteByte(c byte) error {
	o.b = append(o.b, c)
	return nil
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.Encoder = msgpack.NewEncoder(&e.out)
	return e
}}

// begin returns an encoder that appends to dst. finish ends its use.
func begin(dst []byte) *encoder {
	e := encoders.Get().(*encoder)
	e.out.b = dst
	return e
}

// finish returns what was appended to, and gives the encoder back.
func (e *encoder) finish(err error) []byte {
	if err != nil {
		panic(fmt.Sprintf("frame: encode: %v", err)) // output never fails
	}
	dst := e.out.b
	e.out.b = nil
	encoders.Put(e)
	return dst
}

// AppendArrayLen appends the head of an array of n elements.
func AppendArrayLen(dst []byte, n int) []byte {
	e := begin(dst)
	return e.finish(e.EncodeArrayLen(n))
}

// AppendUint appends an unsigned integer in its shortest form.
func AppendUint(dst []byte, v uint64) []byte {
	e := begin(dst)
	return e.finish(e.EncodeUint(v))
}

// AppendInt appends a signed integer in its shortest form.
func AppendInt(dst []byte, v int64) []byte {
	e := begin(dst)
	return e.finish(e.EncodeInt(v))
}

// AppendBytes appends a byte string, also if b is nil, for which the library
// would write nil. Its length must fit 32 bits.
func AppendBytes(dst, b []byte) []byte { return append(AppendBytesLen(dst, len(b)), b...) }

// AppendBytesLen appends the head of a byte string of n bytes, which the caller
// appends.
func AppendBytesLen(dst []byte, n int) []byte {
	e := begin(dst)
	return e.finish(e.EncodeBytesLen(n))
}

// AppendString appends a text string. Its length must fit 32 bits.
func AppendString(dst []byte, s string) []byte {
	e := begin(dst)
	return e.finish(e.EncodeString(s))
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	e := begin(dst)
	return e.finish(e.EncodeBool(v))
}

// AppendNil appends nil.
func AppendNil(dst []byte) []byte {
	e := begin(dst)
	return e.finish(e.EncodeNil())
}
