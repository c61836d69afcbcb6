package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"

	"github.com/cespare/xxhash/v2"
)

// filler is an image as a fill brings it.
type filler struct {
	head   ImageHead
	plan   FillPlan
	chunks [][]byte
}

func openFiller(t testing.TB, image []byte) (f filler) {
	t.Helper()
	in, err := OpenImage(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	f.head = in.Head()
	for {
		chunk, err := in.Next()
		if errors.Is(err, io.EOF) {
			f.plan = in.Plan()
			return f
		} else if err != nil {
			t.Fatal(err)
		}
		f.chunks = append(f.chunks, slices.Clone(chunk))
	}
}

func (f *filler) begin() Op { return Op{Kind: OpFillBegin, Value: f.plan.Append(nil)} }

func (f *filler) items(n int) Op {
	return Op{Kind: OpFillItems, CAS: f.plan.ID(), Delta: uint64(n), Value: f.chunks[n]}
}

func (f *filler) end() Op { return Op{Kind: OpFillEnd, CAS: f.plan.ID()} }

// source returns an engine with items of all kinds in both queues, of which some were
// evicted.
func source(t testing.TB) *Engine {
	e := sample(t)
	for i := range 700 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "big%d", i), Value: []byte(strings.Repeat("b", 2000)), Exptime: int64(i%3) * 1000})
	}
	for i := 695; i < 700; i++ {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "big%d", i), Value: []byte("again"), Fields: item.HasNewCAS, NewCAS: 1 << 40})
	}
	if e.st.Bytes(store.QueueMain) == 0 || e.Stats().Evictions == 0 {
		t.Fatal("the source lacks variety")
	}
	return e
}

// wantStatus checks a result.
func wantStatus(t testing.TB, got item.Result, s item.Status, number uint64) {
	t.Helper()
	if got.Status != s || got.Number != number {
		t.Fatalf("status %d, number %d; want %d, %d", got.Status, got.Number, s, number)
	}
}

// TestFill brings the items of one cluster to another, with restarts of it in between:
// they appear at once and are those of the source, in its order.
func TestFill(t *testing.T) {
	e := source(t)
	f := openFiller(t, imageOf(t, e))
	if len(f.chunks) < 3 || f.head.Sum != e.Stats().Sum || f.plan.Items != e.Stats().CurrItems {
		t.Fatalf("%d chunks, head %+v, plan %+v", len(f.chunks), f.head, f.plan)
	}
	target, twin := newEngine(t, testLimits), newEngine(t, testLimits)
	target.Advance(testStart - 5000) // its clock is behind
	r := target.NewReader()
	wantStatus(t, one(t, target, f.begin()), item.StatusNumber, 0)
	for n := range f.chunks {
		wantStatus(t, one(t, target, f.items(n)), item.StatusNumber, uint64(n+1))
		wantStatus(t, one(t, target, f.items(n)), item.StatusNumber, uint64(n+1)) // once more
		if err := twin.Restore(imageReaderOf(t, target)); err != nil || digest(twin) != digest(target) || !twin.Filling() {
			t.Fatalf("restart after chunk %d: %v", n, err)
		}
		target, twin = twin, target
		r = target.NewReader()
		for _, op := range []Op{k(OpSet, "v"), {Kind: OpGat, Key: []byte("big699")}, {Kind: OpFlushAll}} {
			wantStatus(t, one(t, target, op), item.StatusFilling, 0)
		}
		if got := read(r, "big699"); got != "miss" {
			t.Fatalf("a reader sees %q before the end", got)
		}
		wantStatus(t, one(t, target, f.begin()), item.StatusNumber, uint64(n+1))
		check(t, target)
	}
	wantStatus(t, one(t, target, f.end()), item.StatusOK, 0)
	wantStatus(t, one(t, target, f.end()), item.StatusOK, 0)
	if target.Stats().Sum != e.Stats().Sum || read(r, "big699") != get(e, "big699") || target.TimeMs() != e.TimeMs() {
		t.Fatalf("filled with %+v, want %+v", target.Stats(), e.Stats())
	}
	for q := range store.QueueCount {
		if listing(target, q) != listing(e, q) {
			t.Fatalf("queue %d differs", q)
		}
	}
	after := one(t, target, Op{Kind: OpSet, Key: []byte("k"), Value: []byte("v"), Fields: item.Detailed})
	if after.CAS <= f.plan.Mutations {
		t.Fatalf("cas unique %d after the fill, the source was at %d", after.CAS, f.plan.Mutations)
	}
	if err := twin.Restore(imageReaderOf(t, target)); err != nil || digest(twin) != digest(target) || twin.Filling() {
		t.Fatalf("restart at the end: %v", err)
	}
	check(t, twin)
}

// TestFillIsRefused shows what is no empty cache, and what does not fit.
func TestFillIsRefused(t *testing.T) {
	f := openFiller(t, imageOf(t, source(t)))
	used := newEngine(t, testLimits)
	one(t, used, k(OpSet, "v"))
	one(t, used, k(OpDelete, ""))
	wantStatus(t, one(t, used, f.begin()), item.StatusExists, 0)
	small := newEngine(t, Limits{MemoryBytes: f.plan.Bytes - 1, ItemBytesMax: 64 << 10})
	wantStatus(t, one(t, small, f.begin()), item.StatusOutOfMemory, 0)
	low := newEngine(t, Limits{MemoryBytes: 1 << 20, ItemBytesMax: 1000})
	wantStatus(t, one(t, low, f.begin()), item.StatusTooLarge, 0)
	wantStatus(t, one(t, low, Op{Kind: OpFillBegin, Value: []byte("?")}), item.StatusNotStored, 0)

	e := newEngine(t, testLimits)
	wantStatus(t, one(t, e, f.items(0)), item.StatusNotFound, 0)
	wantStatus(t, one(t, e, f.end()), item.StatusNotFound, 0)
	wantStatus(t, one(t, e, Op{Kind: OpFillAbandon}), item.StatusNotFound, 0)
	wantStatus(t, one(t, e, f.begin()), item.StatusNumber, 0)
	wantStatus(t, one(t, e, f.items(1)), item.StatusNotFound, 0) // not the next
	wantStatus(t, one(t, e, f.items(0)), item.StatusNumber, 1)
	other := f
	other.plan.Mutations++
	wantStatus(t, one(t, e, other.begin()), item.StatusFilling, 0)
	wantStatus(t, one(t, e, other.items(1)), item.StatusNotFound, 0)
	wantStatus(t, one(t, e, f.end()), item.StatusNotStored, 0) // chunks are missing
	again := f.items(0)
	again.Delta = 1
	wantStatus(t, one(t, e, again), item.StatusNotStored, 0) // the same keys
	for _, bad := range [][]byte{nil, {chunkGhost}, {9}, {chunkSmall, 1}, far()} {
		wantStatus(t, one(t, e, Op{Kind: OpFillItems, CAS: f.plan.ID(), Delta: 1, Value: bad}), item.StatusNotStored, 0)
	}
	check(t, e)
	wantStatus(t, one(t, e, Op{Kind: OpFillAbandon}), item.StatusOK, 0)
	if e.Filling() || e.Stats().CurrItems != 0 || digest(e)[0] == digest(newEngine(t, testLimits))[0] {
		t.Fatalf("abandoned: %+v", e.Stats())
	}
	wantStatus(t, one(t, e, other.begin()), item.StatusNumber, 0)
}

// far is a chunk with an item whose expiry is too far away for its level.
func far() []byte {
	return appendItem([]byte{chunkMain}, []byte("far"), nil, &store.Meta{ExpiryMs: 2 * testStart})
}

// TestFillLater leaves out what has expired since the image was written.
func TestFillLater(t *testing.T) {
	e := source(t)
	f := openFiller(t, imageOf(t, e))
	later := testStart + int64(1500)*1000
	target := newEngine(t, testLimits)
	target.Advance(later)
	one(t, target, f.begin())
	for n := range f.chunks {
		target.Advance(later + int64(n)*100_000)
		one(t, target, f.items(n))
	}
	wantStatus(t, one(t, target, f.end()), item.StatusOK, 0)
	e.pendingFlush = 0
	for _, x := range []*Engine{e, target} {
		x.Advance(later + 10_000_000)
	}
	if target.Stats().Sum != e.Stats().Sum || target.Stats().CurrItems != e.Stats().CurrItems || e.Stats().CurrItems == f.plan.Items {
		t.Fatalf("%d items, want %d", target.Stats().CurrItems, e.Stats().CurrItems)
	}
	check(t, target)
}

// TestStoredImageIsDamaged reads images without an engine: what Restore refuses is
// refused.
func TestStoredImageIsDamaged(t *testing.T) {
	image := imageOf(t, sample(t))
	readAll := func(b []byte) error {
		in, err := OpenImage(bytes.NewReader(b))
		for err == nil {
			_, err = in.Next()
		}
		return err
	}
	if err := readAll(image); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for at := 0; at < len(image); at += 1 + at/50 {
		for _, bad := range [][]byte{image[:at], flipped(image, at)} {
			if err := readAll(bad); errors.Is(err, io.EOF) {
				t.Fatalf("image damaged at byte %d was read", at)
			}
		}
	}
	lies := bytes.Clone(image)
	at := imageStartBytes + limitsBytes + 1 + 8*wordSum
	lies[at]++
	binary.LittleEndian.PutUint32(lies[imageHeadBytes:], crc32.Checksum(lies[:imageHeadBytes], castagnoli))
	binary.LittleEndian.PutUint64(lies[len(lies)-8:], xxhash.Sum64(lies[:len(lies)-8]))
	if err := readAll(lies); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a head that lies: %v", err)
	}
}

// TestFillIsHidden has readers look for an item while fills begin and are abandoned,
// and one ends: it is found after the end has begun, and always after it is over.
func TestFillIsHidden(t *testing.T) {
	f := openFiller(t, imageOf(t, source(t)))
	e := newEngine(t, testLimits)
	var ending, over, stop atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		r := e.NewReader()
		readers.Go(func() {
			for !stop.Load() {
				sure := over.Load()
				_, found := r.View(nil, []byte("big699"), appendItemValue)
				_, looked := r.Look(nil, []byte("big699"), false, appendItemValue)
				switch {
				case (found || looked) && !ending.Load():
					t.Error("found before the end")
					return
				case sure && (!found || !looked):
					t.Error("not found after the end")
					return
				}
			}
		})
	}
	fill := func() {
		one(t, e, f.begin())
		for n := range f.chunks {
			one(t, e, f.items(n))
		}
	}
	for range 20 {
		fill()
		wantStatus(t, one(t, e, Op{Kind: OpFillAbandon}), item.StatusOK, 0)
	}
	fill()
	ending.Store(true)
	wantStatus(t, one(t, e, f.end()), item.StatusOK, 0)
	over.Store(true)
	for range 1000 {
		e.Advance(testStart + 4000)
	}
	stop.Store(true)
	readers.Wait()
}
