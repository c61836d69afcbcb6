package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the cache as one would write it without a thought for speed: a slice
// in the order of storing.
type model struct {
	now   int64
	flush int64
	items []modelItem
}

type modelItem struct {
	key, value string
	flags      uint32
	expiry     int64
}

func (m *model) advance(now int64) {
	m.now = max(m.now, now)
	if m.flush != 0 && m.flush <= m.now {
		m.flush, m.items = 0, nil
	}
	m.items = slices.DeleteFunc(m.items, func(i modelItem) bool { return i.expiry != 0 && i.expiry <= m.now })
}

func (m *model) find(key string) int {
	return slices.IndexFunc(m.items, func(i modelItem) bool { return i.key == key && (i.expiry == 0 || i.expiry > m.now) })
}

func (m *model) put(it modelItem) {
	m.items = slices.DeleteFunc(m.items, func(i modelItem) bool { return i.key == it.key })
	m.items = append(m.items, it)
}

func (m *model) expiry(exptime int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return m.now
	default:
		return m.now + exptime*1000
	}
}

// apply mirrors the operations that need no cas unique.
func (m *model) apply(op *Op) Status {
	at := m.find(string(op.Key))
	it := modelItem{key: string(op.Key), value: string(op.Value), flags: op.Flags, expiry: m.expiry(op.Exptime)}
	switch op.Kind {
	case OpSet:
		m.put(it)
		return StatusStored
	case OpAdd, OpReplace:
		if (op.Kind == OpAdd) == (at >= 0) {
			return StatusNotStored
		}
		m.put(it)
		return StatusStored
	case OpAppend, OpPrepend:
		if at < 0 {
			return StatusNotStored
		}
		old := m.items[at]
		it.flags, it.expiry = old.flags, old.expiry
		if it.value = old.value + it.value; op.Kind == OpPrepend {
			it.value = string(op.Value) + old.value
		}
		m.put(it)
		return StatusStored
	case OpTouch:
		if at < 0 {
			return StatusNotFound
		}
		m.items[at].expiry = it.expiry
		return StatusTouched
	case OpDelete:
		if at < 0 {
			return StatusNotFound
		}
		m.items = slices.Delete(m.items, at, at+1)
		return StatusDeleted
	default: // OpFlushAll
		m.flush = 0
		if op.Exptime > 0 {
			m.flush = m.expiry(op.Exptime)
		} else {
			m.items = nil
		}
		return StatusOK
	}
}

// evict drops the oldest items until the model is within the limit again. What
// is dead counts until it is removed in the engine, so the test's limit is only
// reached by live items.
func (m *model) evict(limit int64) {
	size := func() (n int64) {
		for _, i := range m.items {
			n += int64(len(i.key)+len(i.value)) + itemOverheadBytes
		}
		return n
	}
	for size() > limit {
		m.items = m.items[1:]
	}
}

var modelKinds = []OpKind{OpSet, OpSet, OpSet, OpAdd, OpReplace, OpAppend, OpPrepend, OpTouch, OpDelete, OpFlushAll}

func drawOp(t *rapid.T) Op {
	op := Op{
		Kind:    rapid.SampledFrom(modelKinds).Draw(t, "kind"),
		Key:     fmt.Appendf(nil, "key%d", rapid.IntRange(0, 15).Draw(t, "key")),
		Value:   rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"),
		Flags:   rapid.Uint32().Draw(t, "flags"),
		Exptime: rapid.SampledFrom([]int64{0, 0, 0, 1, 5, -1}).Draw(t, "exptime"),
	}
	if op.Kind == OpFlushAll {
		op.Key = nil
	}
	return op
}

// TestModel applies random entries to the model, to an engine, and to a second
// engine that is restored from images of the first now and then: all agree, and
// the engines' digests are equal after every entry.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{MemoryBytes: 12 * 120, ItemBytesMax: 700}
		e, twin := New(limits), New(limits)
		m := &model{}
		now := int64(testStart)
		for range rapid.IntRange(1, 60).Draw(t, "entries") {
			now += rapid.SampledFrom([]int64{0, 1, 999, 3000}).Draw(t, "passed")
			e.Advance(now)
			twin.Advance(now)
			m.advance(now)
			op := drawOp(t)
			want := m.apply(&op)
			encoded := AppendOp(nil, &op)
			out, err := e.Apply(1, encoded, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := twin.Apply(1, encoded, nil, false); err != nil {
				t.Fatal(err)
			}
			got, _, err := DecodeResult(out)
			if got.Status == StatusTooLarge || got.Status == StatusNotStored && want == StatusStored {
				t.Skip("an item outgrew its limit, which the model does not know")
			}
			if err != nil || got.Status != want {
				t.Fatalf("%+v: status %d, want %d", op, got.Status, want)
			}
			m.evict(limits.MemoryBytes)
			compare(t, e, m)
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				twin = restored(t, e, limits)
			}
			if e.Digest() != twin.Digest() {
				t.Fatalf("digests %x and %x", e.Digest(), twin.Digest())
			}
		}
	})
}

func restored(t *rapid.T, e *Engine, limits Limits) *Engine {
	var b bytes.Buffer
	if _, err := e.Image().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	twin := New(limits)
	if err := twin.Restore(&b); err != nil {
		t.Fatal(err)
	}
	return twin
}

func compare(t *rapid.T, e *Engine, m *model) {
	for n := range 16 {
		key := fmt.Sprintf("key%d", n)
		want := "miss"
		if at := m.find(key); at >= 0 {
			want = fmt.Sprintf("%s/%d", m.items[at].value, m.items[at].flags)
		}
		if got := get(e, key); got != want {
			t.Fatalf("%s is %q, want %q", key, got, want)
		}
	}
}
