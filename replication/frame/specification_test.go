package frame

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// class is a group of MessagePack's formats that Reader reads alike.
type class int

const (
	classOther class = iota
	classUint
	classInt
	classBytes
	classString
	classArray
	classBool
	classNil
)

// head precedes a value's contents.
type head struct {
	class class
	n     uint64 // the number, or the length of what follows; 1 is true
	bytes int    // of the head
}

// specified reads the head of a value as MessagePack's specification draws it,
// without the library. It reports whether the head is complete.
func specified(b []byte) (h head, complete bool) {
	if len(b) == 0 {
		return h, false
	}
	c := b[0]
	number := func(class class, size int) (head, bool) {
		if len(b) < 1+size {
			return head{class: class}, false
		}
		var wide [8]byte
		copy(wide[8-size:], b[1:1+size])
		return head{class, binary.BigEndian.Uint64(wide[:]), 1 + size}, true
	}
	switch {
	case c <= 0x7f:
		return head{classUint, uint64(c), 1}, true
	case c >= 0xe0:
		return head{classInt, uint64(int64(int8(c))), 1}, true
	case c >= 0x90 && c <= 0x9f:
		return head{classArray, uint64(c & 0xf), 1}, true
	case c >= 0xa0 && c <= 0xbf:
		return head{classString, uint64(c & 0x1f), 1}, true
	case c == 0xc0:
		return head{classNil, 0, 1}, true
	case c == 0xc2 || c == 0xc3:
		return head{classBool, uint64(c & 1), 1}, true
	case c >= 0xc4 && c <= 0xc6:
		return number(classBytes, 1<<(c-0xc4))
	case c >= 0xcc && c <= 0xcf:
		return number(classUint, 1<<(c-0xcc))
	case c >= 0xd0 && c <= 0xd3:
		size := 1 << (c - 0xd0)
		h, complete = number(classInt, size)
		shift := 64 - 8*size
		h.n = uint64(int64(h.n<<shift) >> shift)
		return h, complete
	case c >= 0xd9 && c <= 0xdb:
		return number(classString, 1<<(c-0xd9))
	case c == 0xdc || c == 0xdd:
		return number(classArray, 2<<(c-0xdc))
	default:
		return head{}, true
	}
}

// reading is one way to read a value: which classes it reads, and whether its
// contents, n bytes, are read with the head.
type reading struct {
	name     string
	classes  []class
	contents bool
	read     func(r *Reader) (n uint64, err error)
}

const fuzzLimit = 1 << 10

var readings = []reading{
	{"ArrayLen", []class{classArray}, false, func(r *Reader) (uint64, error) {
		n, err := r.ArrayLen(fuzzLimit)
		return uint64(n), err
	}},
	{"Uint64", []class{classUint}, false, func(r *Reader) (uint64, error) { return r.Uint64() }},
	{"Int64", []class{classUint, classInt}, false, func(r *Reader) (uint64, error) {
		n, err := r.Int64()
		return uint64(n), err
	}},
	{"Bytes", []class{classBytes}, true, func(r *Reader) (uint64, error) {
		b, err := r.Bytes(fuzzLimit)
		return uint64(len(b)), err
	}},
	{"String", []class{classString}, true, func(r *Reader) (uint64, error) {
		s, err := r.String(fuzzLimit)
		return uint64(len(s)), err
	}},
	{"Bool", []class{classBool}, false, func(r *Reader) (uint64, error) {
		v, err := r.Bool()
		if v {
			return 1, err
		}
		return 0, err
	}},
	{"SkipNil", []class{classNil}, false, func(r *Reader) (uint64, error) {
		if !r.SkipNil() {
			return 0, ErrType
		}
		return 0, nil
	}},
}

// want is the error that a reading of h must return, with rest bytes after the head.
func (rd *reading) want(h head, complete bool, rest int) error {
	is := false
	for _, c := range rd.classes {
		is = is || c == h.class
	}
	counts := h.class == classArray || rd.contents
	switch {
	case !is:
		return ErrType
	case !complete:
		return ErrShort
	case counts && h.n > fuzzLimit:
		return ErrLimit
	case counts && h.n > uint64(rest):
		return ErrShort
	case rd.name == "Int64" && h.class == classUint && h.n > math.MaxInt64:
		return ErrLimit
	}
	return nil
}

// FuzzReader reads any bytes as values of every type, and compares what Reader
// says with what the specification says.
func FuzzReader(f *testing.F) {
	f.Add(AppendInt(AppendBytes(AppendArrayLen(nil, 2), []byte("ab")), -7))
	f.Add(AppendString(AppendNil(AppendBool(AppendUint(nil, math.MaxUint64), true)), "text"))
	f.Add([]byte{0xdd, 255, 255, 255, 255})
	f.Add([]byte{0xc6, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			b = b[checkReadings(t, b):]
		}
	})
}

// checkReadings reads the value at the start of b in every way, and returns its size
// in bytes, at least 1.
func checkReadings(t *testing.T, b []byte) int {
	h, complete := specified(b)
	size := max(1, h.bytes)
	for i := range readings {
		rd := &readings[i]
		r := NewReader(b)
		n, err := rd.read(&r)
		if want := rd.want(h, complete, len(b)-h.bytes); !errors.Is(err, want) || want == nil && err != nil {
			t.Fatalf("%s of % .20x: %v, want %v", rd.name, b, err, want)
		}
		if err != nil {
			continue
		}
		if rd.contents {
			size += int(h.n)
		}
		if n != h.n || len(r.Rest()) != len(b)-size {
			t.Fatalf("%s of % .20x: %d with %d bytes left, want %d with %d", rd.name, b, n, len(r.Rest()), h.n, len(b)-size)
		}
	}
	return size
}
