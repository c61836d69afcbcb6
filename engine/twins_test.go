package engine

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"

	"pgregory.net/rapid"
)

var modelKinds = []OpKind{
	OpSet, OpSet, OpSet, OpSet, OpAdd, OpAdd, OpReplace, OpAppend, OpPrepend, OpCAS, OpIncr, OpDecr, OpTouch, OpGat, OpDelete, OpFlushAll,
	OpMetaGet, OpMetaGet, OpMetaGet, OpDelete,
}

func drawOp(t *rapid.T, keys int, limit int64) Op {
	op := Op{
		Kind:    rapid.SampledFrom(modelKinds).Draw(t, "kind"),
		Key:     fmt.Appendf(nil, "key%d", rapid.IntRange(0, keys-1).Draw(t, "key")),
		Value:   []byte(strconv.Itoa(rapid.IntRange(0, 1000).Draw(t, "value"))),
		Flags:   rapid.SampledFrom([]uint32{0, 0, 1, 1 << 31}).Draw(t, "flags"),
		Exptime: rapid.SampledFrom([]int64{0, 0, 0, 1, 5, 100, -1}).Draw(t, "exptime"),
		CAS:     rapid.Uint64Range(1, 40).Draw(t, "cas"),
		Delta:   rapid.Uint64Range(0, 100).Draw(t, "delta"),
	}
	if rapid.Bool().Draw(t, "detailed") {
		op.Fields = item.Fields(rapid.Uint16Range(0, uint16(item.AllFields)).Draw(t, "fields"))
		op.NewCAS = rapid.SampledFrom([]uint64{0, 3, 1 << 40}).Draw(t, "new cas")
		op.Initial = rapid.SampledFrom([]uint64{0, 9, 998}).Draw(t, "initial")
		op.Vivify = rapid.SampledFrom([]int64{0, 1, 5, 100, -1}).Draw(t, "vivify")
		op.Recache = rapid.SampledFrom([]int64{0, 2, 50, 1000, -1}).Draw(t, "recache")
	}
	if n := rapid.IntRange(0, 400).Draw(t, "pad"); n > 200 && op.Kind != OpIncr {
		op.Value = bytes.Repeat([]byte("x"), n*40) // some beyond smallValueMax
		if n > 370 {
			op.Value = bytes.Repeat([]byte("y"), max(0, int(limit/2)-(n-370)*20-300)) // almost half of the memory
		}
	}
	if op.Kind == OpFlushAll {
		op.Key, op.Fields = nil, 0
	}
	return op
}

// twins are engines that apply the same log with different layouts of memory,
// reads and restarts.
type twins struct {
	engines []*Engine
	readers []*Reader
	images  []*Image
	bytes   [][]byte // of the images
	limits  Limits
}

func newTwins(t *rapid.T, l Limits) *twins {
	tw := &twins{limits: l}
	for i := range 3 {
		// The first never compacts, the others do all the time.
		layout := layoutOf(l, []int{64 << 10, 32 << 10, 16 << 10}[i], []int64{1 << 40, 0, 0}[i])
		e, err := newWithLayout(l, layout, 0, 0)
		if err != nil {
			t.Fatalf("new engine: %v", err)
		}
		tw.engines = append(tw.engines, e)
		tw.readers = append(tw.readers, e.NewReader())
	}
	tw.images, tw.bytes = make([]*Image, 3), make([][]byte, 3)
	return tw
}

func (tw *twins) close() {
	for _, e := range tw.engines {
		e.Close()
	}
}

// restart begins an image, goes on with it, or restores it, in a new engine.
func (tw *twins) restart(t *rapid.T, i int) {
	e := tw.engines[i]
	if tw.images[i] == nil {
		tw.images[i], tw.bytes[i] = e.Image(), nil
	}
	b, more, err := tw.images[i].Next(tw.bytes[i])
	tw.bytes[i] = b
	if err == nil && more {
		return
	}
	tw.images[i] = nil
	if err != nil {
		return // a flush
	}
	if err := readable(tw.limits, b); err != nil {
		t.Fatalf("image of another moment: %v", err)
	}
	// This one is of the present.
	now := e.Image()
	b = nil
	for more := true; more; {
		if b, more, err = now.Next(b); err != nil {
			t.Fatalf("image: %v", err)
		}
	}
	fresh, err := newWithLayout(tw.limits, e.layout, 0, 0)
	if err != nil {
		t.Fatalf("new engine: %v", err)
	}
	if err := fresh.Restore(bytes.NewReader(b)); err != nil {
		t.Fatalf("restore: %v", err)
	}
	if fresh.layout != e.layout {
		t.Fatalf("layout %+v became %+v", e.layout, fresh.layout)
	}
	e.Close()
	tw.engines[i], tw.readers[i] = fresh, fresh.NewReader()
}

// readable restores an image, which compares its items with its digest.
func readable(l Limits, image []byte) error {
	e, err := New(l)
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Restore(bytes.NewReader(image))
}

// TestModel applies random entries to the model and to engines of different
// layout, which are read from differently and restart at different moments: all
// give the model's results and hold its items in its order, and the engines'
// digests are equal after every entry.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{MemoryBytes: rapid.SampledFrom([]int64{4 << 10, 64 << 10, 256 << 10}).Draw(t, "memory"), ItemBytesMax: 1 << 20}
		limits.NoEvict = rapid.IntRange(0, 9).Draw(t, "no evict") == 0
		keys := rapid.SampledFrom([]int{5, 40, 400}).Draw(t, "keys")
		tw := newTwins(t, limits)
		defer func() { tw.close() }()
		m := newModel(limits)
		defer m.ghosts.close()
		now := int64(testStart)
		for range rapid.IntRange(1, 150).Draw(t, "entries") {
			now += rapid.SampledFrom([]int64{0, 1, 999, 3000}).Draw(t, "passed")
			m.advance(now)
			hints := tw.advance(t, now, keys)
			m.hint(hints)
			op := drawOp(t, keys, limits.MemoryBytes)
			if m.tooLarge(&op) {
				continue
			}
			if old := m.visible(string(op.Key)); old != nil && op.CAS > 20 {
				op.CAS = old.CAS
			}
			tw.apply(t, &op, m.apply(&op))
			tw.compare(t, m)
			tw.look(t, m, keys)
		}
	})
}

// tooLarge reports whether the operation may make an item beyond its limit, which
// the model does not know.
func (m *model) tooLarge(op *Op) bool {
	n := len(op.Value) + 300
	if old := m.visible(string(op.Key)); old != nil && (op.Kind == OpAppend || op.Kind == OpPrepend) {
		n += len(old.value)
	}
	return int64(n) > m.limit/2
}

// apply applies op to the engines, which are to tell what is wanted.
func (tw *twins) apply(t *rapid.T, op *Op, want item.Result) {
	for i, e := range tw.engines {
		out := e.Apply(1, AppendOp(nil, op), true)
		got := only(t, out)
		// Each node knows of its own reads.
		got.Marks &^= item.HitBefore
		got.IdleSeconds, got.Key = 0, nil
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
			t.Fatalf("engine %d: %+v: %s, want %s", i, op, a, b)
		}
	}
}

// look reads a key, as an access or not, at a time of the reader's own.
func (tw *twins) look(t *rapid.T, m *model, keys int) {
	for i, r := range tw.readers {
		key := fmt.Sprintf("key%d", rapid.IntRange(0, keys-1).Draw(t, "look"))
		r.SetNow(rapid.Int64Range(0, 9).Draw(t, "second"))
		var got Item
		_, ok := r.Look(nil, []byte(key), rapid.Bool().Draw(t, "keep access"), func(dst, _ []byte, it Item) []byte {
			got = it
			got.Value = bytes.Clone(it.Value)
			return append(dst, 'x')
		})
		want := m.visible(key)
		if ok != (want != nil) {
			t.Fatalf("engine %d: key %q found: %v", i, key, ok)
		}
		if ok && (string(got.Value) != want.value || got.Flags != want.Flags || got.CAS != want.CAS ||
			got.ExpiryMs != want.ExpiryMs || got.Marks&^item.HitBefore != want.Marks || got.NowMs != m.now) {
			t.Fatalf("engine %d: %q holds %+v, want %+v", i, key, got, want)
		}
	}
}

// advance begins an entry: some engines are read from, their hints go to all.
func (tw *twins) advance(t *rapid.T, now int64, keys int) (hints []byte) {
	for i, r := range tw.readers {
		for range rapid.IntRange(0, 3).Draw(t, "reads") {
			r.View(nil, fmt.Appendf(nil, "key%d", rapid.IntRange(0, keys-1).Draw(t, "read")), appendItemValue)
		}
		hints = r.TakeHints(hints)
		if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
			tw.restart(t, i)
		}
	}
	for _, e := range tw.engines {
		e.Advance(now)
		e.Hint(hints)
	}
	return hints
}

func (tw *twins) compare(t *rapid.T, m *model) {
	contents, order := tw.engines[0].Digest()
	for i, e := range tw.engines {
		check(t, e)
		if c, o := e.Digest(); c != contents || o != order {
			t.Fatalf("engine %d has digests %x %x, the first %x %x", i, c, o, contents, order)
		}
		if e.counts.Evictions != m.evictions {
			t.Fatalf("engine %d has evicted %d items, the model %d", i, e.counts.Evictions, m.evictions)
		}
		if e.counts.EvictedUnfetched != m.unfetched.evicted || e.counts.ExpiredUnfetched != m.unfetched.expired {
			t.Fatalf("engine %d counts %+v, the model %+v unfetched", i, e.counts, m.unfetched)
		}
		for q := range store.QueueCount {
			if got, want := listing(e, q), m.listing(q); got != want {
				t.Fatalf("queue %d of engine %d:\n%s\nwant\n%s", q, i, got, want)
			}
		}
	}
}

// listing returns what a queue of the engine holds, in order.
func listing(e *Engine, q int) (s string) {
	for r := range e.st.Items(q) {
		key, value, m := r.Read()
		s += fmt.Sprintf("%s=%d:%x %+v\n", key, len(value), store.Seed(0).Hash(value), m)
	}
	return s
}

func appendItemValue(dst, _ []byte, it Item) []byte { return append(dst, it.Value...) }
