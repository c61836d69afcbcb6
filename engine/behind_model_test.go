package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"raftcached/internal/item"

	"pgregory.net/rapid"
)

// TestBehindModel applies random entries with reads at once, and to another engine one
// operation at a time, with a reader in between: all results and what the readers know are
// the same, and the digests stay equal.
func TestBehindModel(t *testing.T) {
	skipUnderRace(t)
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{MemoryBytes: rapid.SampledFrom([]int64{4 << 10, 64 << 10, 256 << 10}).Draw(t, "memory"), ItemBytesMax: 1 << 20}
		limits.NoEvict = rapid.IntRange(0, 9).Draw(t, "no evict") == 0
		keys := rapid.SampledFrom([]int{2, 40, 400}).Draw(t, "keys")
		b := newBehindTwins(t, limits)
		defer b.close()
		now := int64(testStart)
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			now += rapid.SampledFrom([]int64{0, 1, 999, 3000}).Draw(t, "passed")
			hints := b.readers[1].TakeHints(b.readers[0].TakeHints(nil))
			for _, e := range b.engines {
				e.Advance(now)
				e.Hint(hints)
			}
			b.entry(t, keys)
			check(t, b.engines[0])
		}
	})
}

// behindTwins are an engine that reads among operations, and one that is read from
// between them.
type behindTwins struct {
	engines [2]*Engine
	readers [2]*Reader
}

func newBehindTwins(t fataler, l Limits) *behindTwins {
	b := new(behindTwins)
	for i := range b.engines {
		e, err := New(l)
		if err != nil {
			t.Fatalf("new engine: %v", err)
		}
		b.engines[i], b.readers[i] = e, e.NewReader()
	}
	return b
}

func (b *behindTwins) close() {
	for _, e := range b.engines {
		e.Close()
	}
}

// entry draws operations and reads and applies them to both.
func (b *behindTwins) entry(t *rapid.T, keys int) {
	var ops []byte
	var reads Reads
	var want []string
	e, r := b.engines[1], b.readers[1]
	count := rapid.IntRange(0, 12).Draw(t, "operations")
	for i := range count + 1 {
		for range rapid.IntRange(0, 2).Draw(t, "reads") {
			key := fmt.Appendf(nil, "key%d", rapid.IntRange(0, keys-1).Draw(t, "read"))
			reads.Add(i, key)
			want = append(want, tell(resultOf(r, key)))
		}
		if i == count {
			break
		}
		op := drawOp(t, keys, b.engines[0].limits.MemoryBytes)
		if f := e.st.Find(op.Key); f.Alive && op.CAS > 20 {
			_, op.CAS, _ = f.Content()
		}
		one := AppendOp(nil, &op)
		want = append(want, told(e.Apply(1, one, true))...)
		ops = append(ops, one...)
	}
	results := b.engines[0].ApplyReading(count, ops, &reads)
	clear(ops)
	if got := told(results); !slices.Equal(got, want) {
		t.Fatalf("results\n%q\nwant\n%q", got, want)
	}
	b.readers[0].Credit(results)
	results.Release()
	if digest(b.engines[0]) != digest(e) {
		t.Fatalf("digests %x, want %x", digest(b.engines[0]), digest(e))
	}
	if got, want := b.readers[0].Expired(), r.Expired(); got != want {
		t.Fatalf("%d misses met an expired item, want %d", got, want)
	}
}

// resultOf is what a reader sees, as the result of a read.
func resultOf(r *Reader, key []byte) *item.Result {
	got := item.Result{Status: item.StatusMiss, Key: key}
	r.View(nil, key, func(dst, _ []byte, it Item) []byte {
		got.Status, got.Flags, got.CAS, got.Value = item.StatusHit, it.Flags, it.CAS, bytes.Clone(it.Value)
		return dst
	})
	return &got
}

// TestBehindChangesNothing does the same with and without reads, while items expire and
// are evicted.
func TestBehindChangesNothing(t *testing.T) {
	with, without := newEngine(t, testLimits), newEngine(t, testLimits)
	hits, misses := 0, 0
	for n := range 300 {
		var ops []byte
		var reads Reads
		for i := range 10 {
			for j := range 3 {
				reads.Add(i, fmt.Appendf(nil, "key%d", n*10-j*400))
			}
			op := Op{Kind: OpSet, Key: fmt.Appendf(nil, "key%d", n*10+i), Value: make([]byte, 1000), Exptime: int64(i % 4)}
			ops = AppendOp(ops, &op)
		}
		for _, e := range []*Engine{with, without} {
			e.Advance(testStart + int64(n)*100)
		}
		for _, s := range statuses(with.ApplyReading(10, ops, &reads)) {
			hits += btoi(s == item.StatusHit)
			misses += btoi(s == item.StatusMiss)
		}
		without.Apply(10, ops, false)
		if digest(with) != digest(without) {
			t.Fatalf("entry %d: digests %x, want %x", n, digest(with), digest(without))
		}
	}
	if s := with.Stats(); hits == 0 || misses == 0 || s.Evictions == 0 || s.Expired == 0 {
		t.Fatalf("%d hits, %d misses, %+v", hits, misses, s)
	}
	if !bytes.Equal(imageOf(t, with), imageOf(t, without)) {
		t.Fatal("the images differ")
	}
}
