package engine

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// sample returns an engine with some of everything in it.
func sample(t testing.TB) *Engine {
	e := New(testLimits)
	e.Advance(testStart)
	for i := range 300 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: []byte(strings.Repeat("v", i)), Exptime: int64(i % 7), Flags: uint32(i)})
	}
	one(t, e, Op{Kind: OpDelete, Key: []byte("k7")})
	one(t, e, Op{Kind: OpFlushAll, Exptime: 100})
	e.Advance(testStart + 3000)
	return e
}

func imageOf(t testing.TB, e *Engine) []byte {
	var b bytes.Buffer
	if n, err := e.Image().WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("wrote %d of %d bytes: %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func TestImageRestores(t *testing.T) {
	e := sample(t)
	image := imageOf(t, e)
	twin := New(testLimits)
	one(t, twin, Op{Kind: OpSet, Key: []byte("old")})
	if err := twin.Restore(bytes.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	if twin.Digest() != e.Digest() || get(twin, "old") != "miss" || get(twin, "k297") != get(e, "k297") || twin.Stats() != e.Stats() {
		t.Fatalf("restored: %+v, want %+v", twin.Stats(), e.Stats())
	}
	for _, x := range []*Engine{e, twin} { // and it goes on alike
		x.Advance(testStart + 200_000)
		one(t, x, k(OpSet, "after"))
	}
	if twin.Digest() != e.Digest() {
		t.Fatal("digests differ after the restore")
	}
	empty := New(testLimits)
	if err := twin.Restore(bytes.NewReader(imageOf(t, empty))); err != nil || twin.Digest() != empty.Digest() {
		t.Fatalf("image of nothing: %v", err)
	}
	one(t, twin, k(OpSet, "again"))
}

// TestImageIsOfOneMoment writes an image while the engine changes.
func TestImageIsOfOneMoment(t *testing.T) {
	e := sample(t)
	want := e.Digest()
	image := e.Image()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 300 {
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("changed")})
			e.Advance(testStart + int64(i)*1000)
		}
	})
	var b bytes.Buffer
	if _, err := image.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	twin := New(testLimits)
	if err := twin.Restore(&b); err != nil || twin.Digest() != want {
		t.Fatalf("digest %x, want %x: %v", twin.Digest(), want, err)
	}
}

func TestDamagedImageChangesNothing(t *testing.T) {
	image := imageOf(t, sample(t))
	e := New(testLimits)
	one(t, e, k(OpSet, "mine"))
	want := e.Digest()
	for at := 0; at < len(image); at += 1 + at/50 {
		for _, bad := range [][]byte{image[:at], flipped(image, at)} {
			if err := e.Restore(bytes.NewReader(bad)); err == nil {
				t.Fatalf("image damaged at byte %d was restored", at)
			}
			if e.Digest() != want || get(e, "k") != "mine/0" {
				t.Fatalf("image damaged at byte %d changed the state", at)
			}
		}
	}
	if err := New(Limits{MemoryBytes: 2 << 20, ItemBytesMax: 64 << 10}).Restore(bytes.NewReader(image)); err == nil {
		t.Fatal("image of other limits was restored")
	}
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 0x10
	return c
}

// FuzzRestore feeds any bytes to Restore: an error or the state, never a panic.
func FuzzRestore(f *testing.F) {
	f.Add(imageOf(f, New(testLimits)))
	small := New(testLimits)
	one(f, small, k(OpSet, "v"))
	f.Add(imageOf(f, small))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := New(testLimits)
		if err := e.Restore(bytes.NewReader(b)); err == nil {
			if got := imageOf(t, e); !bytes.HasPrefix(b, got[:imageHeadBytes]) {
				t.Fatal("what was restored has another head")
			}
		}
	})
}

// FuzzDecodeOp decodes any bytes; what decodes must encode to itself.
func FuzzDecodeOp(f *testing.F) {
	op := Op{Kind: OpCAS, Key: []byte("k"), Value: []byte("v"), Exptime: -5, CAS: 1 << 60, Flags: 9}
	f.Add(AppendOp(nil, &op))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, _, err := DecodeOp(b)
		if err != nil {
			return
		}
		again, rest, err := DecodeOp(AppendOp(nil, &op))
		if err != nil || len(rest) > 0 || fmt.Sprint(again) != fmt.Sprint(op) {
			t.Fatalf("%+v became %+v, %v", op, again, err)
		}
	})
}

// TestReadersSeeWholeItems reads while the applier changes what is read.
func TestReadersSeeWholeItems(t *testing.T) {
	e := New(testLimits)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := get(e, "k"); got != "miss" && got != "aaaa/1" && got != "bbbbbbbb/2" {
					t.Errorf("read %q", got)
					return
				}
			}
		})
	}
	for i := range 20_000 {
		e.Advance(testStart + int64(i))
		switch i % 4 {
		case 0:
			one(t, e, flags(k(OpSet, "aaaa"), 1))
		case 1:
			one(t, e, Op{Kind: OpTouch, Key: []byte("k"), Exptime: 10})
		case 2:
			one(t, e, flags(k(OpSet, "bbbbbbbb"), 2))
		case 3:
			one(t, e, Op{Kind: OpFlushAll})
		}
	}
	close(stop)
	wg.Wait()
}

// TestOverwrittenKeyIsNeverMissed reads a key that is overwritten all the time,
// while others are evicted.
func TestOverwrittenKeyIsNeverMissed(t *testing.T) {
	e := New(Limits{MemoryBytes: 20 * (itemOverheadBytes + 10), ItemBytesMax: 1 << 10})
	one(t, e, k(OpSet, "0"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if get(e, "k") == "miss" {
				t.Error("the key was missed")
				return
			}
		}
	})
	for i := range 20_000 {
		switch i % 3 {
		case 0:
			one(t, e, k(OpSet, "1"))
		case 1:
			one(t, e, delta(OpIncr, 1))
		case 2:
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "other%d", i)})
		}
	}
	close(stop)
	wg.Wait()
}

// FuzzDecodeResult decodes any bytes; what decodes must encode to itself.
func FuzzDecodeResult(f *testing.F) {
	f.Add(AppendResult(nil, &Result{Status: StatusHit, Key: []byte("k"), Value: []byte("v"), CAS: 7, Flags: 9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := DecodeResult(b)
		if err != nil {
			return
		}
		again, rest, err := DecodeResult(AppendResult(nil, &r))
		if err != nil || len(rest) > 0 || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

func appendItemValue(dst, _ []byte, it Item) []byte { return append(dst, it.Value...) }

func TestReadsAllocateNothing(t *testing.T) {
	e := New(testLimits)
	one(t, e, k(OpSet, "value"))
	dst, key := make([]byte, 0, 64), []byte("k")
	if n := testing.AllocsPerRun(100, func() { dst, _ = e.View(dst[:0], key, appendItemValue) }); n != 0 {
		t.Fatalf("a hit allocates %v times", n)
	}
}

func BenchmarkView(b *testing.B) {
	e := New(Limits{MemoryBytes: 1 << 30, ItemBytesMax: 1 << 20})
	keys := make([][]byte, 1<<17)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%012d", i)
		one(b, e, Op{Kind: OpSet, Key: keys[i], Value: make([]byte, 100)})
	}
	b.ReportAllocs()
	var dst []byte
	i := 0
	for b.Loop() {
		dst, _ = e.View(dst[:0], keys[i*7919&(len(keys)-1)], appendItemValue)
		i++
	}
}

func BenchmarkSet(b *testing.B) {
	e := New(Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20})
	ops := make([][]byte, 1<<16)
	for i := range ops {
		ops[i] = AppendOp(nil, &Op{Kind: OpSet, Key: fmt.Appendf(nil, "key-%012d", i), Value: make([]byte, 100)})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := e.Apply(1, ops[i&(len(ops)-1)], nil, false); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
