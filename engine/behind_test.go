package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// among builds operations with reads between them.
type among struct {
	ops   []byte
	count int
	reads Reads
	want  []item.Result
}

// op adds an operation, and what it is to result in.
func (a *among) op(op Op, want item.Result) {
	a.ops = AppendOp(a.ops, &op)
	a.count++
	a.want = append(a.want, want)
}

// do adds an operation that results in a status only.
func (a *among) do(op Op, want item.Status) { a.op(op, item.Result{Status: want}) }

// read adds a read behind what was added before.
func (a *among) read(key string, want item.Result) {
	b := []byte(key)
	a.reads.Add(a.count, b)
	clear(b) // it was copied
	want.Key = []byte(key)
	a.want = append(a.want, want)
}

func (a *among) hit(key, value string, flags uint32, cas uint64) {
	a.read(key, item.Result{Status: item.StatusHit, Value: []byte(value), Flags: flags, CAS: cas})
}

func (a *among) miss(key string) { a.read(key, item.Result{Status: item.StatusMiss}) }

// apply applies it all at once and checks the results.
func (a *among) apply(t *testing.T, e *Engine) *Results {
	t.Helper()
	results := e.ApplyReading(a.count, a.ops, &a.reads)
	a.check(t, results)
	return results
}

func (a *among) check(t *testing.T, results *Results) {
	t.Helper()
	got := told(results)
	if len(got) != len(a.want) || results.Len() != len(a.want) {
		t.Fatalf("%d results, Len is %d, want %d: %.1000v", len(got), results.Len(), len(a.want), got)
	}
	for i := range got {
		if want := tell(&a.want[i]); got[i] != want {
			t.Fatalf("result %d is %.200s, want %.200s", i, got[i], want)
		}
	}
}

// told returns all results as text.
func told(results *Results) (s []string) {
	for r := range results.All(new(item.Result)) {
		s = append(s, tell(r))
	}
	return s
}

// tell returns a result as text, in which an empty value is one that is missing.
func tell(r *item.Result) string {
	rest := *r
	rest.Key, rest.Value = nil, nil
	return fmt.Sprintf("%q holds %d bytes %.40q %x: %+v", r.Key, len(r.Value), r.Value, store.Seed(0).Hash(r.Value), rest)
}

// readsOf returns reads of keys, without operations.
func readsOf(keys ...string) *Reads {
	var reads Reads
	for _, key := range keys {
		reads.Add(0, []byte(key))
	}
	return &reads
}

// statuses returns the statuses of the results.
func statuses(results *Results) (s []item.Status) {
	for r := range results.All(new(item.Result)) {
		s = append(s, r.Status)
	}
	return s
}

// TestBehindSeesWhatIsBefore reads a key before, between and after operations on it.
func TestBehindSeesWhatIsBefore(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	var a among
	a.miss("k")
	a.do(flags(k(OpSet, "a"), 5), item.StatusStored)
	a.hit("k", "a", 5, 1)
	a.miss("other")
	a.hit("k", "a", 5, 1)
	a.do(k(OpAppend, "b"), item.StatusStored)
	a.do(k(OpAdd, "c"), item.StatusNotStored)
	a.hit("k", "ab", 5, 2)
	a.op(Op{Kind: OpGat, Key: []byte("k"), Exptime: 100}, item.Result{Status: item.StatusHit, Key: []byte("k"), Value: []byte("ab"), Flags: 5, CAS: 2})
	a.hit("k", "ab", 5, 2)
	a.do(Op{Kind: OpCAS, Key: []byte("k"), CAS: 2}, item.StatusStored)
	a.hit("k", "", 0, 4)
	a.do(Op{Kind: OpSet, Key: []byte("n"), Value: []byte("41")}, item.StatusStored)
	a.op(Op{Kind: OpIncr, Key: []byte("n"), Delta: 1}, item.Result{Status: item.StatusNumber, Number: 42})
	a.hit("n", "42", 0, 6)
	a.do(k(OpDelete, ""), item.StatusDeleted)
	a.miss("k")
	a.do(Op{Kind: OpTouch, Key: []byte("n"), Exptime: -1}, item.StatusTouched)
	a.miss("n")
	a.do(k(OpSet, "z"), item.StatusStored)
	a.hit("k", "z", 0, 9)
	a.do(Op{Kind: OpFlushAll}, item.StatusOK)
	a.miss("k")
	a.apply(t, e)
	check(t, e)
}

// TestBehindNothing reads where there are no operations, and does operations where there
// are no reads.
func TestBehindNothing(t *testing.T) {
	e := newEngine(t, testLimits)
	one(t, e, flags(k(OpSet, "a"), 3))
	var a among
	a.hit("k", "a", 3, 1)
	a.miss("other")
	a.apply(t, e)

	op := k(OpSet, "b")
	for _, reads := range []*Reads{nil, new(Reads)} {
		if got := e.ApplyReading(0, nil, reads); got.Len() != 0 {
			t.Fatalf("%d results of nothing", got.Len())
		}
		if got := statuses(e.ApplyReading(1, AppendOp(nil, &op), reads)); !slices.Equal(got, []item.Status{item.StatusStored}) {
			t.Fatalf("statuses %v", got)
		}
	}
}

// TestBehindCountsExpired: misses that met an item that had expired are counted by the
// reader that they are credited to.
func TestBehindCountsExpired(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	one(t, e, Op{Kind: OpSet, Key: []byte("k"), Exptime: 99})
	e.Advance(testStart + 99_000) // expired, but its slot has not ended
	reader := e.NewReader()
	var a among
	a.miss("k")
	a.miss("absent")
	a.miss("k")
	a.do(k(OpSet, "new"), item.StatusStored)
	a.hit("k", "new", 0, 2)
	a.do(k(OpDelete, ""), item.StatusDeleted)
	a.miss("k")
	results := a.apply(t, e)
	if reader.Expired() != 0 {
		t.Fatal("counted before they are credited")
	}
	reader.Credit(results)
	if reader.Expired() != 2 || e.NewReader().Expired() != 0 {
		t.Fatalf("%d misses met an expired item, want 2", reader.Expired())
	}
}

// TestBehindFill reads while a fill goes on: the items are there at its end.
func TestBehindFill(t *testing.T) {
	from := source(t)
	f := openFiller(t, imageOf(t, from))
	e := newEngine(t, testLimits)
	e.Advance(from.TimeMs())
	fill := func(a *among) {
		a.miss("big699")
		a.op(f.begin(), item.Result{Status: item.StatusNumber})
		a.miss("big699")
		for n := range f.chunks {
			a.op(f.items(n), item.Result{Status: item.StatusNumber, Number: uint64(n + 1)})
			a.miss("big699")
		}
	}
	var abandoned, ended among
	fill(&abandoned)
	abandoned.do(Op{Kind: OpFillAbandon}, item.StatusOK)
	abandoned.miss("big699")
	abandoned.apply(t, e)
	fill(&ended)
	ended.do(f.end(), item.StatusOK)
	ended.hit("big699", "again", 0, 1<<40)
	results := ended.apply(t, e)
	reader := e.NewReader()
	if reader.Credit(results); reader.Expired() != 0 {
		t.Fatalf("%d misses met an expired item", reader.Expired())
	}
	check(t, e)
}

// TestBehindIsBounded: values beyond the bound are left out, until results are released.
func TestBehindIsBounded(t *testing.T) {
	e := newEngine(t, testLimits)
	e.LimitResults(50_000)
	one(t, e, k(OpSet, string(make([]byte, 20_000))))
	one(t, e, Op{Kind: OpSet, Key: []byte("empty")})
	gat := k(OpGat, "")
	apply := func(want ...item.Status) *Results {
		t.Helper()
		reads := readsOf("k")
		for _, key := range []string{"k", "empty", "absent"} {
			reads.Add(1, []byte(key))
		}
		results := e.ApplyReading(1, AppendOp(nil, &gat), reads)
		if got := statuses(results); !slices.Equal(got, want) {
			t.Fatalf("statuses %v, want %v", got, want)
		}
		return results
	}
	first := apply(item.StatusHit, item.StatusHit, item.StatusOutOfMemory, item.StatusHit, item.StatusMiss)
	none := apply(item.StatusOutOfMemory, item.StatusOutOfMemory, item.StatusOutOfMemory, item.StatusHit, item.StatusMiss)
	first.Release()
	none.Release()
	apply(item.StatusHit, item.StatusHit, item.StatusOutOfMemory, item.StatusHit, item.StatusMiss).Release()
	if held := e.results.held.Load(); held != 0 {
		t.Fatalf("%d bytes are held", held)
	}
}

// TestBehindMalformed cuts operations off everywhere: the first that cannot be read and
// those behind it are refused, and reads behind them have no result.
func TestBehindMalformed(t *testing.T) {
	var a among
	var ends []int // of the operations
	for i := range 5 {
		a.read("k", item.Result{})
		a.do(k(OpSet, fmt.Sprint(i)), item.StatusStored)
		ends = append(ends, len(a.ops))
	}
	a.read("k", item.Result{})
	for cut := range len(a.ops) + 1 {
		for _, count := range []int{a.count, 1000} {
			e, reads := newEngine(t, testLimits), a.reads
			results := e.ApplyReading(count, a.ops[:cut], &reads)
			whole, _ := slices.BinarySearch(ends, cut+1)
			var want []item.Status
			for i := range whole {
				want = append(want, []item.Status{item.StatusMiss, item.StatusHit}[min(i, 1)], item.StatusStored)
			}
			want = append(want, []item.Status{item.StatusMiss, item.StatusHit}[min(whole, 1)])
			for range min(count, cut) - whole {
				want = append(want, item.StatusMalformed)
			}
			if got := statuses(results); !slices.Equal(got, want) {
				t.Fatalf("%d of %d bytes, count %d: statuses %v, want %v", cut, len(a.ops), count, got, want)
			}
		}
	}
}

// TestBehindKeepsWhatItTells reads values of all sizes: the results do not change with
// what becomes of the operations and the items.
func TestBehindKeepsWhatItTells(t *testing.T) {
	e := newEngineOf(t, Limits{MemoryBytes: 16 << 20, ItemBytesMax: 1 << 20}, 64<<10, 0)
	e.Advance(testStart)
	sizes := []int{0, 1, 100, 2047, 2048, copyAloneBytes - 1, copyAloneBytes, 500_000}
	var a among
	cas := uint64(0)
	for i := range 400 {
		key, value := fmt.Sprintf("key%d", i%7), bytes.Repeat([]byte{byte(i)}, i%300)
		if i%20 == 0 {
			value = bytes.Repeat([]byte{byte(i)}, sizes[i/20%len(sizes)])
		}
		a.do(Op{Kind: OpSet, Key: []byte(key), Value: value, Flags: uint32(i)}, item.StatusStored)
		cas++
		a.hit(key, string(value), uint32(i), cas)
		a.miss("none")
		a.hit(key, string(value), uint32(i), cas)
	}
	results := a.apply(t, e)
	clear(a.ops)
	later := func(op Op) {
		for i := range 7 {
			op.Key = fmt.Appendf(nil, "key%d", i)
			one(t, e, op)
		}
		for e.Tidy() {
			continue
		}
		a.check(t, results)
	}
	later(Op{Kind: OpSet, Value: bytes.Repeat([]byte("overwritten"), 20)})
	later(Op{Kind: OpDelete})
	for i := range 100 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "more%d", i), Value: bytes.Repeat([]byte("more"), 10_000)})
	}
	one(t, e, Op{Kind: OpFlushAll})
	a.check(t, results)
	results.Release()
}

// TestBehindAllocations: reads cost a fixed number of allocations, and those of room for
// the values, which doubles.
func TestBehindAllocations(t *testing.T) {
	skipUnderRace(t)
	for _, c := range []struct {
		name        string
		key         string
		count       int
		allocations float64
	}{
		{"a hit", "k", 1, 3},
		{"a miss", "absent", 1, 2},
		{"64 hits", "k", 64, 5},
		{"64 misses", "absent", 64, 3},
	} {
		e := newEngine(t, testLimits)
		one(t, e, k(OpSet, "ten bytes."))
		reads, left := readsOf(slices.Repeat([]string{c.key}, c.count)...), Reads{}
		n := testing.AllocsPerRun(50, func() {
			left = *reads
			e.ApplyReading(0, nil, &left).Release()
		})
		if n > c.allocations {
			t.Errorf("%s: %v allocations, want %v", c.name, n, c.allocations)
		}
	}
}
