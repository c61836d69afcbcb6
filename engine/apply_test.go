package engine

import (
	"fmt"
	"strings"
	"testing"
)

const testStart = 1_900_000_000_000 // ms of Unix time

var testLimits = Limits{MemoryBytes: 1 << 20, ItemBytesMax: 64 << 10}

// one applies a single operation and returns its result.
func one(t testing.TB, e *Engine, op Op) Result {
	t.Helper()
	out, err := e.Apply(1, AppendOp(nil, &op), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	r, rest, err := DecodeResult(out)
	if err != nil || len(rest) > 0 {
		t.Fatalf("result %x: %v", out, err)
	}
	return r
}

// get returns "value/flags" of a key, or "miss".
func get(e *Engine, key string) string {
	b, ok := e.View(nil, []byte(key), func(dst, _ []byte, it Item) []byte {
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
	status Status
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
			{flags(k(OpSet, "a"), 5), StatusStored, 0, "a/5"}, {k(OpSet, "b"), StatusStored, 0, "b/0"},
		}},
		{"add stores once", []step{
			{k(OpAdd, "a"), StatusStored, 0, "a/0"}, {k(OpAdd, "b"), StatusNotStored, 0, "a/0"},
		}},
		{"replace needs an item", []step{
			{k(OpReplace, "a"), StatusNotStored, 0, "miss"},
			{k(OpSet, "b"), StatusStored, 0, "b/0"},
			{k(OpReplace, "c"), StatusStored, 0, "c/0"},
		}},
		{"append and prepend keep the flags", []step{
			{k(OpAppend, "a"), StatusNotStored, 0, "miss"},
			{flags(k(OpSet, "b"), 7), StatusStored, 0, "b/7"},
			{flags(k(OpAppend, "c"), 9), StatusStored, 0, "bc/7"},
			{k(OpPrepend, "a"), StatusStored, 0, "abc/7"},
		}},
		{"delete", []step{
			{k(OpDelete, ""), StatusNotFound, 0, "miss"},
			{k(OpSet, "a"), StatusStored, 0, "a/0"},
			{k(OpDelete, ""), StatusDeleted, 0, "miss"},
		}},
		{"incr wraps, decr stops", []step{
			{delta(OpIncr, 1), StatusNotFound, 0, "miss"},
			{flags(k(OpSet, "18446744073709551615"), 3), StatusStored, 0, "18446744073709551615/3"},
			{delta(OpIncr, 2), StatusNumber, 1, "1                   /3"},
			{delta(OpDecr, 5), StatusNumber, 0, "0                   /3"},
		}},
		{"a number grows", []step{
			{k(OpSet, "9"), StatusStored, 0, "9/0"},
			{delta(OpIncr, 1), StatusNumber, 10, "10/0"},
			{delta(OpDecr, 1), StatusNumber, 9, "9 /0"},
		}},
		{"what is no number", []step{
			{k(OpSet, ""), StatusStored, 0, "/0"},
			{delta(OpIncr, 1), StatusNonNumeric, 0, "/0"},
			{k(OpSet, "12a"), StatusStored, 0, "12a/0"},
			{delta(OpIncr, 1), StatusNonNumeric, 0, "12a/0"},
			{k(OpSet, "-1"), StatusStored, 0, "-1/0"},
			{delta(OpDecr, 1), StatusNonNumeric, 0, "-1/0"},
			{k(OpSet, "18446744073709551616"), StatusStored, 0, "18446744073709551616/0"},
			{delta(OpDecr, 1), StatusNonNumeric, 0, "18446744073709551616/0"},
		}},
		{"a set that is too large removes", []step{
			{k(OpSet, "a"), StatusStored, 0, "a/0"},
			{k(OpAdd, big), StatusNotStored, 0, "a/0"},
			{k(OpReplace, big), StatusTooLarge, 0, "a/0"},
			{k(OpAppend, big), StatusNotStored, 0, "a/0"},
			{k(OpSet, big), StatusTooLarge, 0, "miss"},
			{k(OpSet, "a"), StatusStored, 0, "a/0"},
			{k(OpDiscard, ""), StatusTooLarge, 0, "miss"},
		}},
		{"flush", []step{
			{k(OpSet, "a"), StatusStored, 0, "a/0"},
			{Op{Kind: OpFlushAll}, StatusOK, 0, "miss"},
			{k(OpAdd, "b"), StatusStored, 0, "b/0"},
		}},
		{"expired at once", []step{
			{Op{Kind: OpSet, Key: []byte("k"), Value: []byte("a"), Exptime: -1}, StatusStored, 0, "miss"},
			{Op{Kind: OpSet, Key: []byte("k"), Value: []byte("a"), Exptime: relativeExptimeMax + 1}, StatusStored, 0, "miss"},
			{k(OpSet, "a"), StatusStored, 0, "a/0"},
			{Op{Kind: OpTouch, Key: []byte("k"), Exptime: -1}, StatusTouched, 0, "miss"},
			{Op{Kind: OpTouch, Key: []byte("k")}, StatusNotFound, 0, "miss"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := New(testLimits)
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
	e.View(nil, []byte("k"), func(dst, _ []byte, it Item) []byte { cas = it.CAS; return dst })
	return cas
}

func TestCASUnique(t *testing.T) {
	e := New(testLimits)
	if r := one(t, e, Op{Kind: OpCAS, Key: []byte("k"), CAS: 1}); r.Status != StatusNotFound {
		t.Fatalf("cas of nothing: %d", r.Status)
	}
	one(t, e, k(OpSet, "1"))
	first := casOf(e)
	if r := one(t, e, Op{Kind: OpCAS, Key: []byte("k"), CAS: first + 1}); r.Status != StatusExists {
		t.Fatalf("cas with another unique: %d", r.Status)
	}
	one(t, e, Op{Kind: OpTouch, Key: []byte("k"), Exptime: 100})
	if casOf(e) != first {
		t.Fatal("touch changed the cas unique")
	}
	if r := one(t, e, Op{Kind: OpGat, Key: []byte("k")}); r.Status != StatusHit || r.CAS != first || string(r.Value) != "1" {
		t.Fatalf("gat: %+v", r)
	}
	last := first
	for _, op := range []Op{{Kind: OpCAS, Key: []byte("k"), CAS: first, Value: []byte("2")}, delta(OpIncr, 1), k(OpAppend, "0"), k(OpSet, "")} {
		if r := one(t, e, op); r.Status != StatusStored && r.Status != StatusNumber {
			t.Fatalf("kind %d: %d", op.Kind, r.Status)
		}
		if casOf(e) <= last {
			t.Fatalf("kind %d left the cas unique at %d", op.Kind, last)
		}
		last = casOf(e)
	}
}

func TestExpiryFollowsTheLog(t *testing.T) {
	e := New(testLimits)
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
	e := New(testLimits)
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

// TestMassReclaimIsBounded shows that neither a flush nor a mass expiry is done
// in one entry, and that nothing of it is visible meanwhile.
func TestMassReclaimIsBounded(t *testing.T) {
	for _, flush := range []bool{true, false} {
		e := New(testLimits)
		e.Advance(testStart)
		const n = 3*reclaimItemsMax + 10
		for i := range n {
			one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i), Exptime: 1})
		}
		if flush {
			one(t, e, Op{Kind: OpFlushAll})
		} else {
			e.Advance(testStart + 1000)
		}
		if get(e, "k0") != "miss" || get(e, fmt.Sprintf("k%d", n-1)) != "miss" {
			t.Fatal("a dead item is visible")
		}
		entries := 0
		for ; e.NextDueMs() <= e.TimeMs(); entries++ {
			e.Advance(0)
		}
		if got := e.Stats().CurrItems; got != 0 || entries < 3 {
			t.Fatalf("flush %v: %d items left after %d entries", flush, got, entries)
		}
	}
}

func TestEvictionIsFirstInFirstOut(t *testing.T) {
	e := New(Limits{MemoryBytes: 10 * (itemOverheadBytes + 2), ItemBytesMax: 1 << 10})
	for i := range 10 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i)})
	}
	one(t, e, Op{Kind: OpSet, Key: []byte("k0")})                    // stored anew: now the last
	one(t, e, Op{Kind: OpTouch, Key: []byte("k1")})                  // keeps its place
	one(t, e, Op{Kind: OpSet, Key: []byte("a"), Value: []byte("b")}) // evicts one
	if get(e, "k1") != "miss" || get(e, "k0") == "miss" || get(e, "k2") == "miss" || e.Stats().Evictions != 1 {
		t.Fatalf("k0 %s, k1 %s, k2 %s, %+v", get(e, "k0"), get(e, "k1"), get(e, "k2"), e.Stats())
	}
}

func TestNoEvict(t *testing.T) {
	e := New(Limits{MemoryBytes: 3 * (itemOverheadBytes + 2), ItemBytesMax: 1 << 10, NoEvict: true})
	for i := range 3 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i)})
	}
	if r := one(t, e, Op{Kind: OpAdd, Key: []byte("k3")}); r.Status != StatusOutOfMemory {
		t.Fatalf("status %d", r.Status)
	}
	if r := one(t, e, Op{Kind: OpSet, Key: []byte("k0")}); r.Status != StatusStored {
		t.Fatalf("the same size in the place of the old: %d", r.Status)
	}
	one(t, e, Op{Kind: OpDelete, Key: []byte("k1")})
	if r := one(t, e, Op{Kind: OpAdd, Key: []byte("k3")}); r.Status != StatusStored {
		t.Fatalf("after a delete: %d", r.Status)
	}
}

func TestMalformedOperations(t *testing.T) {
	op := k(OpSet, "v")
	ok := AppendOp(nil, &op)
	for cut := range ok {
		if _, err := New(testLimits).Apply(1, ok[:cut], nil, true); err == nil {
			t.Errorf("operation cut to %d bytes was applied", cut)
		}
	}
	if _, err := New(testLimits).Apply(1, append(ok, 1), nil, true); err == nil {
		t.Error("bytes behind the operations were passed over")
	}
}
