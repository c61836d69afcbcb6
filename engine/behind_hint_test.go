package engine

import (
	"bytes"
	"fmt"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// creditTo reads keys and credits it to a reader.
func creditTo(t *testing.T, r *Reader, e *Engine, keys ...string) {
	t.Helper()
	results := e.ApplyReading(0, nil, readsOf(keys...))
	for _, s := range statuses(results) {
		if s != item.StatusHit {
			t.Fatalf("status %d", s)
		}
	}
	r.Credit(results)
	results.Release()
}

// TestBehindHints: what is read among operations is hinted as what readers read, once
// until the log has told of it, and as often as that has an effect.
func TestBehindHints(t *testing.T) {
	e := newEngine(t, testLimits)
	reader := e.NewReader()
	fillTo(t, e, 50, 0)
	if creditTo(t, reader, e, "k0", "k1"); reader.Hints() != 0 {
		t.Fatalf("%d hints while there is room", reader.Hints())
	}
	fillTo(t, e, 95, 0)
	for n := range store.FreqMax {
		read(reader, "k0")
		creditTo(t, reader, e, "k0", "k1", "k0", "k1", "k1")
		creditTo(t, reader, e, "k1", "k0")
		read(reader, "k1")
		want := append(hashOf([]byte("k0")), hashOf([]byte("k1"))...)
		hints := reader.TakeHints(nil)
		if !bytes.Equal(hints, want) {
			t.Fatalf("round %d: hints %x, want %x", n, hints, want)
		}
		e.Hint(hints)
	}
	if creditTo(t, reader, e, "k0", "k1"); reader.Hints() != 0 {
		t.Fatalf("%d hints without an effect", reader.Hints())
	}
}

// TestBehindHintsAreBounded reads more items than a reader gathers hints of: the others are
// hinted when they are read once more. So is what was read for nobody.
func TestBehindHintsAreBounded(t *testing.T) {
	e := newEngine(t, testLimits)
	reader := e.NewReader()
	var keys []string
	for n := range readerHintsMax + 500 {
		keys = append(keys, fmt.Sprint("k", n))
		one(t, e, Op{Kind: OpSet, Key: []byte(keys[n]), Value: make([]byte, 600)})
	}
	if s := e.Stats(); !e.hinting.Load() || s.Evictions > 0 {
		t.Fatalf("%+v", s)
	}
	e.ApplyReading(0, nil, readsOf(keys...)).Release() // for a client that is gone
	for _, want := range []int{readerHintsMax, 500, 0} {
		creditTo(t, reader, e, keys...)
		if cap(reader.hints) != readerHintsMax*hashBytes || reader.Hints() != want {
			t.Fatalf("%d hints, room for %d, want %d", reader.Hints(), cap(reader.hints)/hashBytes, want)
		}
		reader.TakeHints(nil)
	}
}

// TestBehindBesideReaders reads among operations while a reader reads the same items and
// is credited with the results.
func TestBehindBesideReaders(t *testing.T) {
	e := newEngine(t, testLimits)
	fillTo(t, e, 95, 0)
	done := make(chan *Results, 8)
	hints := make(chan []byte, 1)
	go func() {
		defer close(hints)
		r := e.NewReader()
		var taken []byte
		for results := range done {
			for n := range 20 {
				read(r, fmt.Sprint("k", n))
			}
			for got := range results.All(new(item.Result)) {
				if got.Status == item.StatusHit && bytes.Count(got.Value, got.Value[:1]) != len(got.Value) {
					t.Errorf("%q holds a value of two", got.Key)
				}
			}
			r.Credit(results)
			results.Release()
			taken = r.TakeHints(taken)
		}
		hints <- taken
	}()
	for n := range 300 {
		var ops []byte
		var reads Reads
		for i := range 20 {
			key := fmt.Appendf(nil, "k%d", (n*7+i)%40)
			reads.Add(i, key)
			op := Op{Kind: OpSet, Key: key, Value: bytes.Repeat([]byte{byte(n)}, 700+n)}
			ops = AppendOp(ops, &op)
			reads.Add(i+1, key)
		}
		done <- e.ApplyReading(20, ops, &reads)
		e.Tidy()
	}
	close(done)
	if taken := <-hints; len(taken) == 0 {
		t.Error("no hints")
	}
	if held := e.results.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}
