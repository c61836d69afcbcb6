package engine

import (
	"fmt"
	"testing"
)

// fillTo stores items that nobody asks for until the engine holds that share of
// its limit, in percent, and returns how many.
func fillTo(t *testing.T, e *Engine, percent int64, exptime int64) (n int) {
	t.Helper()
	for ; e.Stats().Bytes*100 < e.Stats().LimitMaxBytes*percent; n++ {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n), Value: make([]byte, 1000), Exptime: exptime})
	}
	return n
}

func TestStatsTellOfEvictedItemsThatNobodyReads(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	n := fillTo(t, e, 99, 0)
	reader := e.NewReader()
	for i := range n / 2 {
		read(reader, fmt.Sprint("k", i))
	}
	e.Hint(reader.TakeHints(nil))
	e.Advance(testStart + 5000)
	for i := range n {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "more%d", i), Value: make([]byte, 1000)})
	}
	// What was read moved on to the main queue; what went there was not unfetched.
	s := e.Stats()
	kept := int64(0)
	for i := range n / 2 {
		if get(e, fmt.Sprint("k", i)) != "miss" {
			kept++
		}
	}
	if s.EvictedUnfetched == 0 || s.Evictions-s.EvictedUnfetched+kept != int64(n/2) || get(e, fmt.Sprint("k", n-1)) != "miss" {
		t.Fatalf("%d were read, %d of them are there: %+v", n/2, kept, s)
	}
	if s.EvictedAfterMs < 0 || s.EvictedAfterMs > 5000 || s.OldestMs < testStart || s.OldestMs > testStart+5000 {
		t.Fatalf("%+v", s)
	}
}

// TestStatsTellOfExpiredItemsThatNobodyReads where reads are told of, and of none
// where they are not: there it would be every item.
func TestStatsTellOfExpiredItemsThatNobodyReads(t *testing.T) {
	for _, c := range []struct {
		percent int64
		counted bool
	}{{50, false}, {95, true}} {
		e := newEngine(t, testLimits)
		e.Advance(testStart)
		n := fillTo(t, e, c.percent, 10)
		reader := e.NewReader()
		read(reader, "k0")
		read(reader, "k1")
		e.Hint(reader.TakeHints(nil))
		e.Advance(testStart + 10_500)
		want := int64(0)
		if c.counted {
			want = int64(n - 2)
		}
		if s := e.Stats(); s.Expired != int64(n) || s.ExpiredUnfetched != want || s.OldestMs != 0 {
			t.Errorf("at %d %% of %d items: %+v", c.percent, n, s)
		}
	}
}

func TestReaderCountsMissesOfExpiredItems(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	one(t, e, Op{Kind: OpSet, Key: []byte("k"), Exptime: 99})
	e.Advance(testStart + 99_000) // expired, but its slot has not ended
	reader := e.NewReader()
	if read(reader, "k") != "miss" || read(reader, "absent") != "miss" || reader.Expired() != 1 {
		t.Fatalf("%d misses met an expired item, want 1", reader.Expired())
	}
}

// TestStatsTellOfMemory: what the engine took of it grows with the items.
func TestStatsTellOfMemory(t *testing.T) {
	e := newEngine(t, testLimits)
	empty := e.Stats()
	fillTo(t, e, 50, 0)
	s := e.Stats()
	if s.AllocatedBytes < empty.AllocatedBytes+s.Bytes/2 || s.IndexBytes != s.IndexBuckets*64 || empty.IndexBytes == 0 {
		t.Fatalf("empty %+v, half full %+v", empty, s)
	}
}
