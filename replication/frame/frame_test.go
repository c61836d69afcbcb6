package frame

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// TestSameAsTheLibrary shows that what is written here is MessagePack: the
// library writes the same bytes and reads back the same values.
func TestSameAsTheLibrary(t *testing.T) {
	var ours []byte
	var lib bytes.Buffer
	enc := msgpack.NewEncoder(&lib)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{0, 15, 16, 65535, 65536} {
		ours = AppendArrayLen(ours, n)
		must(enc.EncodeArrayLen(n))
		ours = AppendBytes(ours, make([]byte, n))
		must(enc.EncodeBytes(make([]byte, n)))
		ours = AppendString(ours, strings.Repeat("s", n))
		must(enc.EncodeString(strings.Repeat("s", n)))
	}
	for _, v := range integers() {
		ours = AppendInt(ours, v)
		must(enc.EncodeInt(v))
		ours = AppendUint(ours, uint64(v))
		must(enc.EncodeUint(uint64(v)))
	}
	ours = AppendNil(AppendBool(AppendBool(ours, true), false))
	must(enc.EncodeBool(true))
	must(enc.EncodeBool(false))
	must(enc.EncodeNil())
	if !bytes.Equal(ours, lib.Bytes()) {
		t.Fatal("the library writes other bytes")
	}
}

func integers() []int64 {
	vs := []int64{0, math.MaxInt64, math.MinInt64}
	for bit := range 63 {
		for d := int64(-1); d <= 1; d++ {
			vs = append(vs, 1<<bit+d, -(1<<bit)+d)
		}
	}
	return vs
}

func TestReaderReadsWhatWasAppended(t *testing.T) {
	for _, v := range integers() {
		r := NewReader(AppendInt(nil, v))
		if got, err := r.Int64(); err != nil || got != v || len(r.Rest()) != 0 {
			t.Fatalf("integer %d: got %d, %v", v, got, err)
		}
		r = NewReader(AppendUint(nil, uint64(v)))
		if got, err := r.Uint64(); err != nil || got != uint64(v) || len(r.Rest()) != 0 {
			t.Fatalf("unsigned integer %d: got %d, %v", uint64(v), got, err)
		}
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536} {
		b := bytes.Repeat([]byte{7}, n)
		r := NewReader(AppendString(AppendBytes(nil, b), string(b)))
		got, err := r.Bytes(n)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if s, err := r.String(n); err != nil || s != string(b) {
			t.Fatalf("string of %d bytes: %v", n, err)
		}
	}
	r := NewReader(AppendNil(AppendBool(nil, true)))
	if v, err := r.Bool(); err != nil || !v || !r.SkipNil() || r.SkipNil() {
		t.Fatalf("boolean and nil: %v, %v", v, err)
	}
}

func TestReaderIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		read func(*Reader) error
		want error
	}{
		{"array of 4 Gi elements in 5 bytes", []byte{0xdd, 255, 255, 255, 255}, readArray(math.MaxInt), ErrShort},
		{"array over its limit", AppendArrayLen(nil, 3), readArray(2), ErrLimit},
		{"bytes of 4 GiB in 5 bytes", []byte{0xc6, 255, 255, 255, 255}, readBytes(math.MaxInt), ErrShort},
		{"bytes over their limit", AppendBytes(nil, []byte("abc")), readBytes(2), ErrLimit},
		{"short string over its limit", AppendString(nil, "abc"), readString(2), ErrLimit},
		{"nothing", nil, readArray(1), ErrShort},
		{"array where bytes should be", AppendArrayLen(nil, 1), readBytes(9), ErrType},
		{"length cut off", []byte{0xc6, 0}, readBytes(9), ErrShort},
	} {
		r := NewReader(c.in)
		if err := c.read(&r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func readArray(limit int) func(*Reader) error {
	return func(r *Reader) error { _, err := r.ArrayLen(limit); return err }
}

func readBytes(limit int) func(*Reader) error {
	return func(r *Reader) error { _, err := r.Bytes(limit); return err }
}

func readString(limit int) func(*Reader) error {
	return func(r *Reader) error { _, err := r.String(limit); return err }
}

// FuzzReader reads any bytes as values of every type, in an order that the
// bytes themselves choose.
func FuzzReader(f *testing.F) {
	f.Add(AppendInt(AppendBytes(AppendArrayLen(nil, 2), []byte("ab")), -7))
	f.Add([]byte{0xdd, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		for len(r.Rest()) > 0 {
			before := len(r.Rest())
			var err error
			switch r.Rest()[0] >> 4 {
			case 0x9, 0xd:
				_, err = r.ArrayLen(1 << 10)
			case 0xc:
				_, err = r.Bytes(1 << 10)
			case 0xa, 0xb:
				_, err = r.String(1 << 10)
			default:
				_, err = r.Int64()
			}
			if err != nil {
				return
			}
			if len(r.Rest()) >= before {
				t.Fatal("a value of no bytes")
			}
		}
	})
}

func BenchmarkAppendAndRead(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	payload := make([]byte, 100)
	for b.Loop() {
		buf = AppendBytes(AppendUint(AppendArrayLen(buf[:0], 2), 123456), payload)
		r := NewReader(buf)
		_, _ = r.ArrayLen(2)
		_, _ = r.Uint64()
		_, _ = r.Bytes(100)
	}
}
