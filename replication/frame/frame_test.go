package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

// TestForms holds the bytes of every form that is written: files and peers of
// other versions know no others.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string // hexadecimal, the head of the value
	}{
		{"array of 0", AppendArrayLen(nil, 0), "90"},
		{"array of 15", AppendArrayLen(nil, 15), "9f"},
		{"array of 16", AppendArrayLen(nil, 16), "dc0010"},
		{"array of 65535", AppendArrayLen(nil, 65535), "dcffff"},
		{"array of 65536", AppendArrayLen(nil, 65536), "dd00010000"},
		{"0", AppendUint(nil, 0), "00"},
		{"127", AppendUint(nil, 127), "7f"},
		{"128", AppendUint(nil, 128), "cc80"},
		{"255", AppendUint(nil, 255), "ccff"},
		{"256", AppendUint(nil, 256), "cd0100"},
		{"65535", AppendUint(nil, 65535), "cdffff"},
		{"65536", AppendUint(nil, 65536), "ce00010000"},
		{"2^32-1", AppendUint(nil, math.MaxUint32), "ceffffffff"},
		{"2^32", AppendUint(nil, math.MaxUint32+1), "cf0000000100000000"},
		{"2^64-1", AppendUint(nil, math.MaxUint64), "cfffffffffffffffff"},
		{"integer 128", AppendInt(nil, 128), "cc80"},
		{"2^63-1", AppendInt(nil, math.MaxInt64), "cf7fffffffffffffff"},
		{"-1", AppendInt(nil, -1), "ff"},
		{"-32", AppendInt(nil, -32), "e0"},
		{"-33", AppendInt(nil, -33), "d0df"},
		{"-128", AppendInt(nil, -128), "d080"},
		{"-129", AppendInt(nil, -129), "d1ff7f"},
		{"-32768", AppendInt(nil, -32768), "d18000"},
		{"-32769", AppendInt(nil, -32769), "d2ffff7fff"},
		{"-2^31", AppendInt(nil, math.MinInt32), "d280000000"},
		{"-2^31-1", AppendInt(nil, math.MinInt32-1), "d3ffffffff7fffffff"},
		{"-2^63", AppendInt(nil, math.MinInt64), "d38000000000000000"},
		{"no bytes", AppendBytes(nil, nil), "c400"},
		{"a byte", AppendBytes(nil, []byte{7}), "c40107"},
		{"255 bytes", AppendBytesLen(nil, 255), "c4ff"},
		{"256 bytes", AppendBytesLen(nil, 256), "c50100"},
		{"65535 bytes", AppendBytesLen(nil, 65535), "c5ffff"},
		{"65536 bytes", AppendBytesLen(nil, 65536), "c600010000"},
		{"empty string", AppendString(nil, ""), "a0"},
		{"string of 31", AppendString(nil, strings.Repeat("s", 31))[:1], "bf"},
		{"string of 32", AppendString(nil, strings.Repeat("s", 32))[:2], "d920"},
		{"string of 255", AppendString(nil, strings.Repeat("s", 255))[:2], "d9ff"},
		{"string of 256", AppendString(nil, strings.Repeat("s", 256))[:3], "da0100"},
		{"string of 65536", AppendString(nil, strings.Repeat("s", 65536))[:5], "db00010000"},
		{"true", AppendBool(nil, true), "c3"},
		{"false", AppendBool(nil, false), "c2"},
		{"nil", AppendNil(nil), "c0"},
		{"after other bytes", AppendUint([]byte{0xaa}, 1), "aa01"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is written as %s, want %s", c.name, got, c.want)
		}
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

// TestLengthsAreNotAllocated gives lengths of gibibytes without their contents.
func TestLengthsAreNotAllocated(t *testing.T) {
	const allocatedMax = 64 << 10
	for _, b := range [][]byte{{0xdd, 255, 255, 255, 255}, {0xc6, 255, 255, 255, 255}, {0xdb, 255, 255, 255, 255}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range readings {
			r := NewReader(b)
			if _, err := readings[i].read(&r); err == nil {
				t.Errorf("%s read % x", readings[i].name, b)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allocatedMax {
			t.Errorf("% x: %d bytes allocated", b, n)
		}
	}
}

// TestBytesAliasTheInput shows that no copy is made, and that appending to the
// bytes does not overwrite the input.
func TestBytesAliasTheInput(t *testing.T) {
	in := AppendUint(AppendBytes(nil, []byte("abc")), 7)
	r := NewReader(in)
	b, err := r.Bytes(3)
	if err != nil || &b[0] != &in[2] || cap(b) != 3 {
		t.Fatalf("read %q with capacity %d, %v", b, cap(b), err)
	}
	if rest := r.Rest(); &rest[0] != &in[5] {
		t.Fatalf("the rest is % x", rest)
	}
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
