package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"raftcached/engine/store"
)

// TestImageIsGivenUpForRoom touches everything while an image is to be written,
// with hardly more addresses than the items take. Each touched item is stored
// anew, and what it was is kept for the image: rather that goes.
func TestImageIsGivenUpForRoom(t *testing.T) {
	const memory, size = 8 << 20, 100 << 10
	limits := Limits{MemoryBytes: memory, ItemBytesMax: 1 << 20}
	twin := newEngine(t, limits)
	layout := store.LayoutFor(memory)
	layout.AddressBytes = memory * 3 / 2
	e, err := newWithLayout(limits, layout, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := e.NewReader()
	for _, x := range []*Engine{e, twin} {
		fillMain(t, x, memory*9/10, size, 1)
	}
	i := e.Image()
	if _, more, err := i.Next(nil); !more || err != nil {
		t.Fatalf("more: %v, %v", more, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range 80 {
		if n%8 == 0 {
			wg.Wait()
			wg.Go(func() {
				r.View(nil, fmt.Appendf(nil, "main-%d", n), func(dst, _ []byte, it Item) []byte {
					runtime.Gosched()
					return append(dst, it.Value...)
				})
			})
		}
		for _, x := range []*Engine{e, twin} {
			x.Hint(hashOf(fmt.Appendf(nil, "main-%d", 79-n)))
			one(t, x, Op{Kind: OpTouch, Key: fmt.Appendf(nil, "main-%d", n), Exptime: 100})
		}
	}
	if _, _, err := i.Next(nil); !errors.Is(err, ErrAborted) || i.Behind() {
		t.Fatalf("the image goes on: %v", err)
	}
	check(t, e)
	again := newEngine(t, limits)
	if err := again.Restore(imageReaderOf(t, e)); err != nil || digest(again) != digest(twin) || listing(again, store.QueueMain) != listing(twin, store.QueueMain) {
		t.Fatalf("the next image: %v", err)
	}
	if e.st.KeptBytes() != 0 {
		t.Fatalf("%d bytes are kept without an image", e.st.KeptBytes())
	}
}

// TestImageOfWhatExpired writes an image when nearly all items have expired and
// lie there still: no part of it goes past more than a bounded number of them.
func TestImageOfWhatExpired(t *testing.T) {
	e := newEngine(t, Limits{MemoryBytes: 8 << 20, ItemBytesMax: 64 << 10})
	e.Advance(testStart)
	for n := range 50_000 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n), Value: make([]byte, 40), Exptime: 1})
	}
	one(t, e, k(OpSet, "v"))
	e.Advance(testStart + 5000)
	i := e.Image()
	var b []byte
	parts := 0
	for more := true; more; parts++ {
		before := i.walked
		var err error
		if b, more, err = i.Next(b); err != nil {
			t.Fatal(err)
		}
		if i.walked > walkedBytesMax+200 && i.walked != before {
			t.Fatalf("part %d goes past %d bytes", parts, i.walked)
		}
	}
	again := newEngine(t, testLimits)
	if err := again.Restore(bytes.NewReader(b)); err != nil || digest(again) != digest(e) || parts < 4 {
		t.Fatalf("image in %d parts: %v", parts, err)
	}
}
