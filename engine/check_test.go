package engine

import (
	"testing"

	"raftcached/engine/memory"

	"raftcached/engine/store"
)

// newEngine returns an engine that the end of the test closes.
func newEngine(t testing.TB, l Limits) *Engine {
	t.Helper()
	e, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// newEngineOf returns an engine whose memory is laid out in segments of a size, which
// are merged when the given number of bytes is wasted.
func newEngineOf(t testing.TB, l Limits, segmentBytes int, wasteMax int64) *Engine {
	t.Helper()
	e, err := newWithLayout(l, layoutOf(l, segmentBytes, wasteMax), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func layoutOf(l Limits, segmentBytes int, wasteMax int64) store.Layout {
	layout := store.LayoutFor(l.MemoryBytes)
	layout.SegmentBytes, layout.WasteMax = segmentBytes, wasteMax
	return layout
}

// skipUnderRace skips a test that takes long and has only one goroutine: the race
// detector would find nothing in it.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if !memory.OffHeap {
		t.Skip("one goroutine: nothing to race with")
	}
}

// fataler is testing.TB or rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check compares everything that the engine holds with the sums that it keeps.
func check(t fataler, e *Engine) {
	t.Helper()
	if err := e.st.Check(); err != nil {
		t.Fatalf("%v", err)
	}
}
