package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// sample returns an engine with some of everything in it.
func sample(t testing.TB) *Engine {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	for i := range 300 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: []byte(strings.Repeat("v", i)), Exptime: int64(i % 7), Flags: uint32(i)})
	}
	one(t, e, Op{Kind: OpDelete, Key: []byte("k7")})
	one(t, e, Op{Kind: OpDelete, Key: []byte("k8"), Fields: item.Invalidate})
	one(t, e, Op{Kind: OpDelete, Key: []byte("k14"), Fields: item.Invalidate})
	one(t, e, Op{Kind: OpMetaGet, Key: []byte("k14")})
	one(t, e, Op{Kind: OpFlushAll, Exptime: 100})
	e.Advance(testStart + 3000)
	return e
}

func imageOf(t testing.TB, e *Engine) []byte { return finish(t, e.Image(), nil) }

func imageReaderOf(t testing.TB, e *Engine) io.Reader { return bytes.NewReader(imageOf(t, e)) }

// finish returns b with the rest of an image behind it.
func finish(t testing.TB, i *Image, b []byte) []byte {
	t.Helper()
	for more := true; more; {
		var err error
		if b, more, err = i.Next(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func digest(e *Engine) [2]uint64 {
	contents, order := e.Digest()
	return [2]uint64{contents, order}
}

func TestImageRestores(t *testing.T) {
	e := sample(t)
	image := imageOf(t, e)
	twin := newEngine(t, testLimits)
	one(t, twin, Op{Kind: OpSet, Key: []byte("old")})
	if err := twin.Restore(bytes.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	if digest(twin) != digest(e) || get(twin, "old") != "miss" || get(twin, "k297") != get(e, "k297") || twin.Stats().Counts != e.Stats().Counts {
		t.Fatalf("restored: %+v, want %+v", twin.Stats().Counts, e.Stats().Counts)
	}
	for _, x := range []*Engine{e, twin} { // and it goes on alike
		x.Advance(testStart + 200_000)
		one(t, x, k(OpSet, "after"))
	}
	if digest(twin) != digest(e) {
		t.Fatal("digests differ after the restore")
	}
	empty := newEngine(t, testLimits)
	if err := twin.Restore(bytes.NewReader(imageOf(t, empty))); err != nil || digest(twin) != digest(empty) {
		t.Fatalf("image of nothing: %v", err)
	}
	one(t, twin, k(OpSet, "again"))
}

func hashOf(key []byte) []byte { return binary.LittleEndian.AppendUint64(nil, store.Seed(0).Hash(key)) }

// TestImageIsOfOneMoment changes everything while an image is written, before it
// has come by and after.
func TestImageIsOfOneMoment(t *testing.T) {
	e := newEngine(t, Limits{MemoryBytes: 4 << 20, ItemBytesMax: 64 << 10})
	e.Advance(testStart)
	key := func(i int) []byte { return fmt.Appendf(nil, "k%d", i) }
	fill := func(value string) {
		for i := range 6000 {
			one(t, e, Op{Kind: OpSet, Key: key(i), Value: []byte(strings.Repeat(value, 50+i%700)), Exptime: int64(i % 5)})
		}
	}
	fill("a")
	fill("b") // much of it evicted, some of it ghosts, dead records in between
	want := digest(e)
	i := e.Image()
	b, more, err := i.Next(nil)
	for n := 0; more && err == nil; n++ {
		for j := n; j < 6000; j += 13 {
			kind := []OpKind{OpSet, OpDelete, OpTouch, OpAppend}[j%4]
			one(t, e, Op{Kind: kind, Key: key(j), Value: []byte("changed")})
		}
		e.Hint(hashOf(key(n)))
		e.Advance(testStart + int64(n)*300)
		check(t, e)
		b, more, err = i.Next(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	check(t, e)
	twin := newEngine(t, testLimits)
	if err := twin.Restore(bytes.NewReader(b)); err != nil || digest(twin) != want {
		t.Fatalf("digests %x, want %x: %v", digest(twin), want, err)
	}
	if e.st.KeptBytes() != 0 {
		t.Fatalf("%d bytes are kept when the image is done", e.st.KeptBytes())
	}
	if digest(e) == want {
		t.Fatal("nothing changed meanwhile")
	}
	again := newEngine(t, testLimits)
	if err := again.Restore(bytes.NewReader(imageOf(t, e))); err != nil || digest(again) != digest(e) {
		t.Fatalf("the next image: %v", err)
	}
}

// TestImageFallsBehind overwrites what an image has still to write: the bytes
// that are kept for it are bounded, for whoever asks Behind.
func TestImageFallsBehind(t *testing.T) {
	limits := Limits{MemoryBytes: 8 << 20, ItemBytesMax: 64 << 10}
	e := newEngine(t, limits)
	fill := func() {
		for i := range 7000 {
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 1000)})
			for e.image != nil && e.image.Behind() {
				if _, _, err := e.image.Next(nil); err != nil {
					t.Fatal(err)
				}
			}
			if e.st.KeptBytes() > limits.MemoryBytes>>keptShift+2000 {
				t.Fatalf("%d bytes are kept", e.st.KeptBytes())
			}
		}
	}
	fill()
	e.Image()
	fill()
	if e.image != nil && e.st.KeptBytes() == 0 {
		t.Fatal("the image was never behind")
	}
}

// TestFlushAbortsAnImage shows that a flush does not wait for an image. One that
// has little to remove does it one by one, and the image goes on.
func TestFlushAbortsAnImage(t *testing.T) {
	e := sample(t)
	want := digest(e)
	i := e.Image()
	one(t, e, Op{Kind: OpFlushAll})
	check(t, e)
	again := newEngine(t, testLimits)
	if err := again.Restore(bytes.NewReader(finish(t, i, nil))); err != nil || digest(again) != want || e.st.KeptBytes() != 0 {
		t.Fatalf("image during a small flush: %v", err)
	}
	for n := range clearedMax + 1 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n)})
	}
	i = e.Image()
	one(t, e, Op{Kind: OpFlushAll})
	if _, _, err := i.Next(nil); !errors.Is(err, ErrAborted) {
		t.Fatalf("after a flush: %v", err)
	}
	imageOf(t, e)
}

func TestDamagedImageChangesNothing(t *testing.T) {
	image := imageOf(t, sample(t))
	e := newEngine(t, testLimits)
	one(t, e, k(OpSet, "mine"))
	want := digest(e)
	for at := 0; at < len(image); at += 1 + at/50 {
		for _, bad := range [][]byte{image[:at], flipped(image, at)} {
			if err := e.Restore(bytes.NewReader(bad)); err == nil {
				t.Fatalf("image damaged at byte %d was restored", at)
			}
			if digest(e) != want || get(e, "k") != "mine/0" {
				t.Fatalf("image damaged at byte %d changed the state", at)
			}
		}
	}
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 0x10
	return c
}

// TestImageOfOtherFormat shows that a program says so if it cannot read an image.
func TestImageOfOtherFormat(t *testing.T) {
	head := imageOf(t, newEngine(t, testLimits))[:imageHeadBytes]
	binary.LittleEndian.PutUint32(head[8:], imageVersion-1)
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	err := newEngine(t, testLimits).Restore(bytes.NewReader(head))
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "the image has format 3 and this program reads only 4") {
		t.Fatal(err)
	}
}

// FuzzRestore feeds any bytes to Restore: an error or the state, never a panic.
func FuzzRestore(f *testing.F) {
	f.Add(imageOf(f, newEngine(f, testLimits)))
	small := newEngine(f, testLimits)
	one(f, small, k(OpSet, "v"))
	f.Add(imageOf(f, small))
	one(f, small, with(OpDelete, "", also(item.Invalidate)))
	f.Add(imageOf(f, small))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := newEngine(t, testLimits)
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
	op = with(OpIncr, "", ifCAS(7), newCAS(1<<60), vivify(-1), initial(9), recache(30))
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
	e := newEngine(t, testLimits)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		r := e.NewReader()
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := read(r, "k"); got != "miss" && got != "aaaa/1" && got != "bbbbbbbb/2" {
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
			if i%200 == 3 {
				one(t, e, Op{Kind: OpFlushAll})
			}
		}
	}
	close(stop)
	wg.Wait()
}

// TestOverwrittenKeyIsNeverMissed reads a key that is overwritten all the time,
// while others are evicted.
func TestOverwrittenKeyIsNeverMissed(t *testing.T) {
	e := newEngine(t, Limits{MemoryBytes: 20 * (store.ChargeMin + 8), ItemBytesMax: 1 << 10})
	one(t, e, k(OpSet, "0"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	r := e.NewReader()
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if read(r, "k") == "miss" {
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

func TestReadsAllocateNothing(t *testing.T) {
	e := newEngine(t, testLimits)
	one(t, e, k(OpSet, "value"))
	dst, key, r := make([]byte, 0, 64), []byte("k"), e.NewReader()
	if n := testing.AllocsPerRun(100, func() { dst, _ = r.View(dst[:0], key, appendItemValue) }); n != 0 {
		t.Fatalf("a hit allocates %v times", n)
	}
}

// TestKeyTwiceInAnImage: which of the two items would be the right one?
func TestKeyTwiceInAnImage(t *testing.T) {
	e := newEngine(t, testLimits)
	twice := imageItem{key: []byte("k"), value: []byte("v"), hash: store.Seed(0).Hash([]byte("k"))}
	if err := e.addItems(store.QueueSmall, []imageItem{twice, twice}); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}
