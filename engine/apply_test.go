package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

const testStart = 1_900_000_000_000 // ms of Unix time

var testLimits = Limits{MemoryBytes: 1 << 20, ItemBytesMax: 64 << 10}

// one applies a single operation and returns its result.
func one(t testing.TB, e *Engine, op Op) item.Result {
	t.Helper()
	out := e.Apply(1, AppendOp(nil, &op), true)
	return only(t, out)
}

// only returns the one result.
func only(t fataler, results *Results) (only item.Result) {
	t.Helper()
	if results.Len() != 1 {
		t.Fatalf("%d results, want 1", results.Len())
	}
	for r := range results.All(new(item.Result)) {
		only = *r
	}
	return only
}

// get returns "value/flags" of a key, or "miss".
func get(e *Engine, key string) string { return read(e.NewReader(), key) }

func read(r *Reader, key string) string {
	b, ok := r.View(nil, []byte(key), func(dst, _ []byte, it Item) []byte {
		return fmt.Appendf(dst, "%s/%d", it.Value, it.Flags)
	})
	if !ok {
		return "miss"
	}
	return string(b)
}

// step is one line of a table: an operation, its outcome, and what a reader of
// key k sees afterwards.
type step struct {
	op     Op
	status item.Status
	number uint64
	then   string
}

func k(kind OpKind, value string) Op { return Op{Kind: kind, Key: []byte("k"), Value: []byte(value)} }

func flags(op Op, f uint32) Op { op.Flags = f; return op }

func delta(kind OpKind, d uint64) Op { return Op{Kind: kind, Key: []byte("k"), Delta: d} }

func TestCommands(t *testing.T) {
	big := strings.Repeat("x", testLimits.ItemBytesMax)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"set overwrites", []step{
			{flags(k(OpSet, "a"), 5), item.StatusStored, 0, "a/5"}, {k(OpSet, "b"), item.StatusStored, 0, "b/0"},
		}},
		{"add stores once", []step{
			{k(OpAdd, "a"), item.StatusStored, 0, "a/0"}, {k(OpAdd, "b"), item.StatusNotStored, 0, "a/0"},
		}},
		{"replace needs an item", []step{
			{k(OpReplace, "a"), item.StatusNotStored, 0, "miss"},
			{k(OpSet, "b"), item.StatusStored, 0, "b/0"},
			{k(OpReplace, "c"), item.StatusStored, 0, "c/0"},
		}},
		{"append and prepend keep the flags", []step{
			{k(OpAppend, "a"), item.StatusNotStored, 0, "miss"},
			{flags(k(OpSet, "b"), 7), item.StatusStored, 0, "b/7"},
			{flags(k(OpAppend, "c"), 9), item.StatusStored, 0, "bc/7"},
			{k(OpPrepend, "a"), item.StatusStored, 0, "abc/7"},
		}},
		{"delete", []step{
			{k(OpDelete, ""), item.StatusNotFound, 0, "miss"},
			{k(OpSet, "a"), item.StatusStored, 0, "a/0"},
			{k(OpDelete, ""), item.StatusDeleted, 0, "miss"},
		}},
		{"incr wraps, decr stops", []step{
			{delta(OpIncr, 1), item.StatusNotFound, 0, "miss"},
			{flags(k(OpSet, "18446744073709551615"), 3), item.StatusStored, 0, "18446744073709551615/3"},
			{delta(OpIncr, 2), item.StatusNumber, 1, "1                   /3"},
			{delta(OpDecr, 5), item.StatusNumber, 0, "0                   /3"},
		}},
		{"a number grows", []step{
			{k(OpSet, "9"), item.StatusStored, 0, "9/0"},
			{delta(OpIncr, 1), item.StatusNumber, 10, "10/0"},
			{delta(OpDecr, 1), item.StatusNumber, 9, "9 /0"},
			{k(OpSet, "7\x00x"), item.StatusStored, 0, "7\x00x/0"},
			{delta(OpIncr, 1), item.StatusNumber, 8, "8  /0"},
		}},
		{"what is no number", []step{
			{k(OpSet, ""), item.StatusStored, 0, "/0"},
			{delta(OpIncr, 1), item.StatusNonNumeric, 0, "/0"},
			{k(OpSet, "12a"), item.StatusStored, 0, "12a/0"},
			{delta(OpIncr, 1), item.StatusNonNumeric, 0, "12a/0"},
			{k(OpSet, "-1"), item.StatusStored, 0, "-1/0"},
			{delta(OpDecr, 1), item.StatusNonNumeric, 0, "-1/0"},
			{k(OpSet, "18446744073709551616"), item.StatusStored, 0, "18446744073709551616/0"},
			{delta(OpDecr, 1), item.StatusNonNumeric, 0, "18446744073709551616/0"},
		}},
		{"a set that is too large removes", []step{
			{k(OpSet, "a"), item.StatusStored, 0, "a/0"},
			{k(OpAdd, big), item.StatusNotStored, 0, "a/0"},
			{k(OpReplace, big), item.StatusTooLarge, 0, "a/0"},
			{k(OpAppend, big), item.StatusNotStored, 0, "a/0"},
			{k(OpSet, big), item.StatusTooLarge, 0, "miss"},
			{k(OpSet, "a"), item.StatusStored, 0, "a/0"},
			{k(OpSetTooLarge, ""), item.StatusTooLarge, 0, "miss"},
		}},
		{"flush", []step{
			{k(OpSet, "a"), item.StatusStored, 0, "a/0"},
			{Op{Kind: OpFlushAll}, item.StatusOK, 0, "miss"},
			{k(OpAdd, "b"), item.StatusStored, 0, "b/0"},
		}},
		{"expired at once", []step{
			{Op{Kind: OpSet, Key: []byte("k"), Value: []byte("a"), Exptime: -1}, item.StatusStored, 0, "miss"},
			{Op{Kind: OpSet, Key: []byte("k"), Value: []byte("a"), Exptime: relativeExptimeMax + 1}, item.StatusStored, 0, "miss"},
			{k(OpSet, "a"), item.StatusStored, 0, "a/0"},
			{Op{Kind: OpTouch, Key: []byte("k"), Exptime: -1}, item.StatusTouched, 0, "miss"},
			{Op{Kind: OpTouch, Key: []byte("k")}, item.StatusNotFound, 0, "miss"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, testLimits)
			e.Advance(testStart)
			for i, s := range c.steps {
				r := one(t, e, s.op)
				if got := get(e, "k"); r.Status != s.status || r.Number != s.number || got != s.then {
					t.Fatalf("step %d: status %d, number %d, then %q; want %d, %d, %q", i, r.Status, r.Number, got, s.status, s.number, s.then)
				}
			}
		})
	}
}

func casOf(e *Engine) (cas uint64) {
	e.NewReader().View(nil, []byte("k"), func(dst, _ []byte, it Item) []byte { cas = it.CAS; return dst })
	return cas
}

func TestCASUnique(t *testing.T) {
	e := newEngine(t, testLimits)
	if r := one(t, e, Op{Kind: OpCAS, Key: []byte("k"), CAS: 1}); r.Status != item.StatusNotFound {
		t.Fatalf("cas of nothing: %d", r.Status)
	}
	one(t, e, k(OpSet, "1"))
	first := casOf(e)
	if r := one(t, e, Op{Kind: OpCAS, Key: []byte("k"), CAS: first + 1}); r.Status != item.StatusExists {
		t.Fatalf("cas with another unique: %d", r.Status)
	}
	one(t, e, Op{Kind: OpTouch, Key: []byte("k"), Exptime: 100})
	if casOf(e) != first {
		t.Fatal("touch changed the cas unique")
	}
	if r := one(t, e, Op{Kind: OpGat, Key: []byte("k")}); r.Status != item.StatusHit || r.CAS != first || string(r.Value) != "1" {
		t.Fatalf("gat: %+v", r)
	}
	last := first
	for _, op := range []Op{{Kind: OpCAS, Key: []byte("k"), CAS: first, Value: []byte("2")}, delta(OpIncr, 1), k(OpAppend, "0"), k(OpSet, "")} {
		if r := one(t, e, op); r.Status != item.StatusStored && r.Status != item.StatusNumber {
			t.Fatalf("kind %d: %d", op.Kind, r.Status)
		}
		if casOf(e) <= last {
			t.Fatalf("kind %d left the cas unique at %d", op.Kind, last)
		}
		last = casOf(e)
	}
}

func TestExpiryFollowsTheLog(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	op := k(OpSet, "a")
	op.Exptime = 10
	one(t, e, op)
	if due := e.NextDueMs(); due != testStart+10_000 {
		t.Fatalf("due at %d", due)
	}
	e.Advance(testStart + 9_999)
	e.Advance(testStart) // never back
	if got := get(e, "k"); got != "a/0" {
		t.Fatalf("a millisecond early: %s", got)
	}
	e.Advance(testStart + 10_000)
	if got, s := get(e, "k"), e.Stats(); got != "miss" || s.CurrItems != 0 || s.Bytes != 0 || s.Expired != 1 {
		t.Fatalf("at its time: %s, %+v", got, s)
	}
}

func TestDelayedFlush(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	one(t, e, k(OpSet, "a"))
	one(t, e, Op{Kind: OpFlushAll, Exptime: 5})
	one(t, e, Op{Kind: OpFlushAll, Exptime: 10}) // the last wins
	e.Advance(testStart + 9_000)
	one(t, e, k(OpAppend, "b"))
	if got := get(e, "k"); got != "ab/0" {
		t.Fatalf("before the flush: %s", got)
	}
	e.Advance(testStart + 10_000)
	if got := get(e, "k"); got != "miss" {
		t.Fatalf("at the flush: %s", got)
	}
	one(t, e, k(OpSet, "c"))
	e.Advance(testStart + 20_000)
	if got := get(e, "k"); got != "c/0" {
		t.Fatalf("stored after the flush: %s", got)
	}
}

// TestDeadRecordsGoBitByBit shows that a mass expiry takes effect at once, and
// that its items are unlinked some with each entry, within a bound.
func TestDeadRecordsGoBitByBit(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	const n = 3*clearPerEntry + 10
	for i := range n {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Exptime: 1})
	}
	e.Advance(testStart + 1000)
	if s := e.Stats(); get(e, "k0") != "miss" || s.CurrItems != 0 || s.Bytes != 0 || s.Expired != n {
		t.Fatalf("after the expiry: %+v", s)
	}
	for left := n - clearPerEntry; left > 0; left -= clearPerEntry {
		if got := e.st.Linked(); got > left || got < left-clearPerOp {
			t.Fatalf("%d records are left, want about %d", got, left)
		}
		check(t, e)
		left -= clearPerOp
		e.Advance(0)
	}
	if e.st.Linked() != 0 {
		t.Fatalf("%d records are left", e.st.Linked())
	}
}

// TestTidyClearsWithoutEntries shows that what has expired goes from memory even
// if nothing is written any more.
func TestTidyClearsWithoutEntries(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	for i := range 3000 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 100), Exptime: 1})
	}
	before := digest(e)
	e.Advance(testStart + 1000)
	after := digest(e)
	for e.Tidy() {
		check(t, e)
	}
	if e.st.Linked() != 0 || e.st.Usage().AllocatedBytes-e.st.Usage().IndexBytes > int64(e.layout.SegmentBytes)+(16<<10) {
		t.Fatalf("%d records and %d bytes are left", e.st.Linked(), e.st.Usage().AllocatedBytes)
	}
	if digest(e) != after || after == before {
		t.Fatal("tidying changed the state")
	}
}

func TestNoEvict(t *testing.T) {
	e := newEngine(t, Limits{MemoryBytes: 3 * store.ChargeMin, ItemBytesMax: 1 << 10, NoEvict: true})
	e.Advance(testStart)
	for i := range 3 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i)})
	}
	if r := one(t, e, Op{Kind: OpAdd, Key: []byte("k3")}); r.Status != item.StatusOutOfMemory {
		t.Fatalf("status %d", r.Status)
	}
	if r := one(t, e, Op{Kind: OpSet, Key: []byte("k0")}); r.Status != item.StatusStored {
		t.Fatalf("the same size in the place of the old: %d", r.Status)
	}
	one(t, e, Op{Kind: OpDelete, Key: []byte("k1")})
	if r := one(t, e, Op{Kind: OpAdd, Key: []byte("k3")}); r.Status != item.StatusStored {
		t.Fatalf("after a delete: %d", r.Status)
	}
	// An expiry takes room too.
	if r := one(t, e, Op{Kind: OpTouch, Key: []byte("k0"), Exptime: 60}); r.Status != item.StatusOutOfMemory {
		t.Fatalf("touch of an item that was to live for ever: %d", r.Status)
	}
	if r := one(t, e, Op{Kind: OpGat, Key: []byte("k0"), Exptime: 60}); r.Status != item.StatusOutOfMemory || len(r.Value) > 0 {
		t.Fatalf("gat of an item that was to live for ever: %d, %q", r.Status, r.Value)
	}
	if r := one(t, e, Op{Kind: OpTouch, Key: []byte("k0"), Exptime: -1}); r.Status != item.StatusTouched {
		t.Fatalf("touch that ends an item: %d", r.Status)
	}
	if s := e.Stats(); s.CurrItems != 2 || s.Evictions != 0 {
		t.Fatalf("%d items, %d evictions", s.CurrItems, s.Evictions)
	}
}

func TestMalformedOperations(t *testing.T) {
	op := k(OpSet, "v")
	ok := AppendOp(nil, &op)
	e := newEngine(t, testLimits)
	for cut := 1; cut < len(ok); cut++ {
		if e.Check(1, ok[:cut]) == nil {
			t.Errorf("operation cut to %d bytes passes", cut)
		}
		if got := only(t, e.Apply(1, ok[:cut], true)); got.Status != item.StatusMalformed || e.Stats().CurrItems != 0 {
			t.Errorf("operation cut to %d bytes: status %d, %d items", cut, got.Status, e.Stats().CurrItems)
		}
	}
	if e.Check(1, ok) != nil || e.Check(1, append(ok, 1)) == nil || e.Check(0, nil) != nil {
		t.Error("bytes behind the operations pass")
	}
	var got []item.Status // what comes before is applied, what comes after is not
	for r := range e.Apply(4, append(append(bytes.Clone(ok), 0xff, 0xff), ok...), true).All(new(item.Result)) {
		got = append(got, r.Status)
	}
	if want := []item.Status{item.StatusStored, item.StatusMalformed, item.StatusMalformed, item.StatusMalformed}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
}

// FuzzApply applies any bytes on two engines, one of which is asked for results: they
// do not panic, agree, stay sound, and refuse what Check refuses.
func FuzzApply(f *testing.F) {
	var all []byte
	for kind := OpSet; kind < opKindEnd; kind++ {
		op := Op{Kind: kind, Delta: 1 << 20, Exptime: 100, Flags: 7, Value: []byte("12")}
		if kind.hasKey() {
			op.Key = []byte("k")
		}
		all = AppendOp(all, &op)
		f.Add(uint16(1), AppendOp(nil, &op), int64(1000))
		op.Fields, op.Initial, op.Vivify, op.Recache, op.NewCAS = item.AllFields, 5, -1, 30, 1<<60
		f.Add(uint16(2), AppendOp(all, &op), int64(planTimeMax))
	}
	f.Add(uint16(opKindEnd), all, int64(1))
	f.Add(uint16(2), []byte{0xff, 0xff}, int64(0))
	plan := FillPlan{TimeMs: planTimeMax, Chunks: 1, Items: 1, Bytes: 100}
	fill := AppendOp(nil, &Op{Kind: OpFillBegin, Value: plan.Append(nil)})
	fill = AppendOp(fill, &Op{Kind: OpFillItems, CAS: plan.ID(), Value: []byte("\x01\x01\x00\x01\x00\x00\x01kv")})
	f.Add(uint16(3), AppendOp(fill, &Op{Kind: OpFillEnd, CAS: plan.ID()}), int64(9))
	f.Fuzz(func(t *testing.T, count uint16, ops []byte, later int64) {
		a, b := newEngine(t, testLimits), newEngine(t, testLimits)
		for range 2 {
			later = max(0, min(later, planTimeMax-testStart))
			results := a.Apply(int(count), ops, true)
			if b.Apply(int(count), ops, false) != nil || results.Len() != min(int(count), len(ops)) {
				t.Fatalf("%d results of %d operations", results.Len(), count)
			}
			refused := 0
			for r := range results.All(new(item.Result)) {
				if r.Status == item.StatusMalformed {
					refused++
				}
			}
			if refused > 0 && a.Check(int(count), ops) == nil {
				t.Fatal("refused what passes the check")
			}
			for _, e := range []*Engine{a, b} {
				e.Advance(testStart + later)
				check(t, e)
			}
			if digestOf(a) != digestOf(b) {
				t.Fatal("two engines differ")
			}
		}
	})
}

func digestOf(e *Engine) (d [2]uint64) {
	d[0], d[1] = e.Digest()
	return d
}
