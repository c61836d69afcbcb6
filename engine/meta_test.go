package engine

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// with returns an operation on key k with what its options add.
func with(kind OpKind, value string, options ...func(*Op)) Op {
	op := k(kind, value)
	op.Fields = item.Detailed
	if kind == OpIncr || kind == OpDecr {
		op.Delta = 1
	}
	for _, o := range options {
		o(&op)
	}
	return op
}

func also(f item.Fields) func(*Op) { return func(op *Op) { op.Fields |= f } }

func clientFlags(n uint32) func(*Op) { return func(op *Op) { op.Flags = n } }

func ifCAS(n uint64) func(*Op) { return func(op *Op) { op.Fields |= item.HasCAS; op.CAS = n } }

func newCAS(n uint64) func(*Op) { return func(op *Op) { op.Fields |= item.HasNewCAS; op.NewCAS = n } }

func exptime(n int64) func(*Op) { return func(op *Op) { op.Fields |= item.HasExptime; op.Exptime = n } }

func vivify(n int64) func(*Op) { return func(op *Op) { op.Fields |= item.HasVivify; op.Vivify = n } }

func recache(n int64) func(*Op) { return func(op *Op) { op.Fields |= item.HasRecache; op.Recache = n } }

func initial(n uint64) func(*Op) {
	return func(op *Op) { op.Fields |= item.HasInitial; op.Initial = n }
}

func by(n uint64) func(*Op) { return func(op *Op) { op.Delta = n } }

var statusNames = map[item.Status]string{
	item.StatusStored: "STORED", item.StatusNotStored: "NOT_STORED", item.StatusExists: "EXISTS", item.StatusNotFound: "NOT_FOUND",
	item.StatusDeleted: "DELETED", item.StatusTouched: "TOUCHED", item.StatusNumber: "NUMBER", item.StatusHit: "HIT", item.StatusMiss: "MISS",
	item.StatusNonNumeric: "NON_NUMERIC", item.StatusTooLarge: "TOO_LARGE", item.StatusOutOfMemory: "OUT_OF_MEMORY",
}

// outcome writes a result the way the meta commands do: the value or number, then
// c cas unique, f client flags if there are some, s size, t time to live, and
// what the item is marked with.
func outcome(r *item.Result) string {
	var b strings.Builder
	b.WriteString(statusNames[r.Status])
	switch r.Status {
	case item.StatusHit:
		fmt.Fprintf(&b, " %q", r.Value)
	case item.StatusNumber:
		fmt.Fprintf(&b, " %d", r.Number)
	case item.StatusStored, item.StatusTouched, item.StatusDeleted:
	default:
		return b.String()
	}
	fmt.Fprintf(&b, " c%d", r.CAS)
	if r.Flags != 0 {
		fmt.Fprintf(&b, " f%d", r.Flags)
	}
	fmt.Fprintf(&b, " s%d t%d", r.SizeBytes, r.TTLSeconds)
	for i, letter := range "WXZ" {
		if r.Marks&(1<<i) != 0 {
			fmt.Fprintf(&b, " %c", letter)
		}
	}
	return b.String()
}

// metaStep waits some seconds and applies an operation.
type metaStep struct {
	wait int64
	op   Op
	want string
}

// TestMetaCommands tells what each field of an operation does. The outcomes are
// those of memcached 1.6.45, but for the numbers that it gives as cas uniques.
func TestMetaCommands(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []metaStep
	}{
		{"a cas unique is compared, and 0 is that of no item", []metaStep{
			{0, with(OpSet, "a", ifCAS(1)), "NOT_FOUND"},
			{0, with(OpReplace, "a", ifCAS(1)), "NOT_FOUND"},
			{0, with(OpSet, "a", clientFlags(7)), "STORED c1 f7 s1 t-1"},
			{0, with(OpSet, "b", ifCAS(2)), "EXISTS"},
			{0, with(OpSet, "b", ifCAS(0)), "EXISTS"},
			{0, with(OpReplace, "bc", ifCAS(1)), "STORED c2 s2 t-1"},
			{0, with(OpAdd, "c", ifCAS(2)), "NOT_STORED"},
			{0, with(OpDelete, "", ifCAS(1)), "EXISTS"},
			{0, with(OpDelete, "", ifCAS(2)), "DELETED c0 s0 t0"},
			{0, with(OpDelete, "", ifCAS(2)), "NOT_FOUND"},
			{0, with(OpAdd, "c", ifCAS(9)), "STORED c4 s1 t-1"},
		}},
		{"an explicit cas unique, 0 is none for what stores a value", []metaStep{
			{0, with(OpSet, "1", newCAS(1<<40)), "STORED c1099511627776 s1 t-1"},
			{0, with(OpAppend, "2", newCAS(0)), "STORED c2 s2 t-1"},
			{0, with(OpIncr, "", newCAS(0)), "NUMBER 13 c0 s2 t-1"},
			{0, with(OpSet, "1", ifCAS(0)), "EXISTS"},
			{0, with(OpDelete, "", also(item.Invalidate), newCAS(77)), "DELETED c77 s2 t-1 X"},
			{0, with(OpSet, "1", newCAS(math.MaxUint64)), "STORED c18446744073709551615 s1 t-1"},
		}},
		{"what is deleted with Invalidate is stale, and one client wins it", []metaStep{
			{0, with(OpSet, "v", exptime(50)), "STORED c1 s1 t50"},
			{0, with(OpDelete, "", also(item.Invalidate)), "DELETED c2 s1 t50 X"},
			{0, with(OpMetaGet, ""), `HIT "v" c2 s1 t50 W X`},
			{0, with(OpMetaGet, ""), `HIT "v" c2 s1 t50 X Z`},
			{0, with(OpDelete, "", also(item.Invalidate), exptime(9)), "DELETED c4 s1 t9 X"},
			{0, with(OpTouch, "", exptime(0)), "TOUCHED c4 s1 t-1 X"},
			{0, with(OpMetaGet, ""), `HIT "v" c4 s1 t-1 W X`},
			{0, with(OpSet, "w"), "STORED c7 s1 t-1"},
			{0, with(OpMetaGet, ""), `HIT "w" c7 s1 t-1`},
		}},
		{"a value fetched before the item was invalidated is stored as stale", []metaStep{
			{0, with(OpSet, "v", exptime(50)), "STORED c1 s1 t50"},
			{0, with(OpDelete, "", also(item.Invalidate)), "DELETED c2 s1 t50 X"},
			{0, with(OpMetaGet, ""), `HIT "v" c2 s1 t50 W X`},
			{0, with(OpSet, "old", ifCAS(1), also(item.Invalidate), exptime(90)), "STORED c4 s3 t50 X Z"},
			{0, with(OpSet, "old", ifCAS(5), also(item.Invalidate)), "EXISTS"},
			{0, with(OpMetaGet, ""), `HIT "old" c4 s3 t50 X Z`},
			{0, with(OpSet, "new", ifCAS(4), also(item.Invalidate), exptime(90)), "STORED c5 s3 t90"},
		}},
		{"a value is removed, and its item stays", []metaStep{
			{0, with(OpSet, "v", clientFlags(5), exptime(50)), "STORED c1 f5 s1 t50"},
			{0, with(OpDelete, "", also(item.RemoveValue)), "DELETED c1 s0 t-1"},
			{0, with(OpDelete, "", also(item.RemoveValue), clientFlags(9), exptime(30), newCAS(100)), "DELETED c100 f9 s0 t30"},
			{0, with(OpDelete, "", also(item.RemoveValue|item.Invalidate)), "DELETED c4 s0 t-1 X"},
			{0, with(OpMetaGet, ""), `HIT "" c4 s0 t-1 W X`},
		}},
		{"append creates what is missing, and changes neither flags nor expiry", []metaStep{
			{0, with(OpAppend, "a"), "NOT_STORED"},
			{0, with(OpAppend, "a", ifCAS(5)), "NOT_STORED"},
			{0, with(OpAppend, "a", ifCAS(5), vivify(60), clientFlags(3)), "STORED c1 f3 s1 t60"},
			{0, with(OpPrepend, "b", vivify(90), clientFlags(9)), "STORED c2 f3 s2 t60"},
			{0, with(OpPrepend, "c", ifCAS(1)), "EXISTS"},
			{0, with(OpPrepend, "c", ifCAS(0)), "STORED c3 f3 s3 t60"},
			{0, with(OpMetaGet, ""), `HIT "cba" c3 f3 s3 t60`},
			{0, with(OpDelete, "", also(item.Invalidate)), "DELETED c4 f3 s3 t60 X"},
			{0, with(OpAppend, ""), "STORED c5 f3 s3 t60"}, // another item, not stale
		}},
		{"counting creates what is missing", []metaStep{
			{0, with(OpIncr, "", initial(13)), "NOT_FOUND"},
			{0, with(OpIncr, "", initial(13), vivify(60)), "NUMBER 13 c1 s2 t60 W"},
			{0, with(OpDecr, "", initial(13), vivify(90), exptime(70)), "NUMBER 12 c2 s2 t70"},
			{0, with(OpDecr, "", ifCAS(1)), "EXISTS"},
			{0, with(OpDecr, "", ifCAS(0), by(5)), "NUMBER 7 c3 s2 t70"}, // "7 "
			{0, with(OpDelete, ""), "DELETED c0 s0 t0"},
			{0, with(OpIncr, "", vivify(60), exptime(30), also(item.TouchBeforeVivify)), "NUMBER 0 c5 s1 t60 W"},
			{0, with(OpSet, ""), "STORED c6 s0 t-1"},
			{0, with(OpIncr, "", ifCAS(1)), "NON_NUMERIC"}, // without a look at the cas unique
			{0, with(OpSet, "x"), "STORED c7 s1 t-1"},
			{0, with(OpIncr, "", ifCAS(1)), "EXISTS"},
		}},
		{"counting keeps the marks unless the number grows", []metaStep{
			{0, with(OpSet, "9"), "STORED c1 s1 t-1"},
			{0, with(OpDelete, "", also(item.Invalidate)), "DELETED c2 s1 t-1 X"},
			{0, with(OpDecr, ""), "NUMBER 8 c3 s1 t-1 X"},
			{0, with(OpIncr, "", by(2)), "NUMBER 10 c4 s2 t-1"},
		}},
		{"a get creates what is missing, and wins it", []metaStep{
			{0, with(OpMetaGet, ""), "MISS"},
			{0, with(OpMetaGet, "", recache(60)), "MISS"},
			{0, with(OpMetaGet, "", exptime(60)), "MISS"},
			{0, with(OpMetaGet, "", vivify(30), newCAS(55)), `HIT "" c55 s0 t30 W`},
			{0, with(OpMetaGet, "", vivify(90)), `HIT "" c55 s0 t30 Z`},
			{29, with(OpMetaGet, "", recache(9)), `HIT "" c55 s0 t1 Z`},
			{1, with(OpMetaGet, "", vivify(30), exptime(60)), `HIT "" c2 s0 t60 W`},
			{60, with(OpMetaGet, "", vivify(30), exptime(60), also(item.TouchBeforeVivify|item.TTLBefore)), `HIT "" c3 s0 t-1 W`},
			{29, with(OpMetaGet, ""), `HIT "" c3 s0 t1 Z`},
		}},
		{"who sees less time left than asked wins", []metaStep{
			{0, with(OpSet, "v", exptime(30)), "STORED c1 s1 t30"},
			{0, with(OpMetaGet, "", recache(30)), `HIT "v" c1 s1 t30`},
			{0, with(OpMetaGet, "", recache(-1)), `HIT "v" c1 s1 t30`},
			{0, with(OpMetaGet, "", recache(31), exptime(40), also(item.TouchBeforeRecache)), `HIT "v" c1 s1 t40`},
			{11, with(OpMetaGet, "", recache(30), exptime(40)), `HIT "v" c1 s1 t40 W`},
			{30, with(OpMetaGet, "", recache(30)), `HIT "v" c1 s1 t10 Z`},
			{0, with(OpSet, "v"), "STORED c4 s1 t-1"},
			{0, with(OpMetaGet, "", recache(30)), `HIT "v" c4 s1 t-1`},
		}},
		{"a get sets the expiry, and tells the one before if asked", []metaStep{
			{0, with(OpSet, "v", exptime(20)), "STORED c1 s1 t20"},
			{5, with(OpMetaGet, "", exptime(60), also(item.TTLBefore)), `HIT "v" c1 s1 t15`},
			{5, with(OpMetaGet, "", exptime(60)), `HIT "v" c1 s1 t60`},
			{0, with(OpMetaGet, "", exptime(-1)), `HIT "v" c1 s1 t0`},
			{0, with(OpMetaGet, ""), "MISS"},
		}},
		{"what is too large goes before the cas unique is looked at", []metaStep{
			{0, with(OpSet, "v"), "STORED c1 s1 t-1"},
			{0, with(OpSet, strings.Repeat("x", testLimits.ItemBytesMax), ifCAS(5)), "TOO_LARGE"},
			{0, with(OpMetaGet, ""), "MISS"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, testLimits)
			now := int64(testStart)
			for i, s := range c.steps {
				now += s.wait * msPerSecond
				e.Advance(now)
				r := one(t, e, s.op)
				if got := outcome(&r); got != s.want {
					t.Fatalf("step %d: %s, want %s", i, got, s.want)
				}
				check(t, e)
			}
			if got := restored(t, e); digest(got) != digest(e) {
				t.Fatal("the image is of another state")
			}
		})
	}
}

// restored returns a new engine with the state of e.
func restored(t testing.TB, e *Engine) *Engine {
	t.Helper()
	fresh := newEngine(t, testLimits)
	if err := fresh.Restore(imageReaderOf(t, e)); err != nil {
		t.Fatal(err)
	}
	return fresh
}

// TestClassicResultsTellNothing: only results that need it are more than a status.
func TestClassicResultsTellNothing(t *testing.T) {
	e := newEngine(t, testLimits)
	for _, op := range []Op{k(OpSet, "1"), delta(OpIncr, 1), k(OpAppend, "2"), k(OpTouch, ""), k(OpDelete, "")} {
		r := one(t, e, op)
		if r.Number = 0; fmt.Sprint(r) != fmt.Sprint(item.Result{Status: r.Status}) {
			t.Errorf("operation %d: %+v", op.Kind, r)
		}
	}
}

// TestNoRoomForWhatAGetCreates: it is a miss then, as in memcached.
func TestNoRoomForWhatAGetCreates(t *testing.T) {
	e := newEngine(t, Limits{MemoryBytes: 3 * store.ChargeMin, ItemBytesMax: 1 << 10, NoEvict: true})
	for i := range 3 {
		one(t, e, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", i)})
	}
	if r := one(t, e, with(OpMetaGet, "", vivify(0))); r.Status != item.StatusMiss {
		t.Fatalf("%+v", r)
	}
	if r := one(t, e, with(OpIncr, "", vivify(0))); r.Status != item.StatusOutOfMemory {
		t.Fatalf("%+v", r)
	}
}

// look returns what Look tells of key k: value, marks, seconds left and idle.
func look(r *Reader, keepAccess bool) string {
	b, ok := r.Look(nil, []byte("k"), keepAccess, func(dst, key []byte, it Item) []byte {
		return fmt.Appendf(dst, "%s=%s marks %d ttl %d idle %d", key, it.Value, it.Marks, it.TTLSeconds(), it.IdleSeconds)
	})
	if !ok {
		return "miss"
	}
	return string(b)
}

// TestNodesKnowWhatTheyRead follows what a node, and only it, knows of reads: the
// time since the last one, and whether there was one since the item was stored.
func TestNodesKnowWhatTheyRead(t *testing.T) {
	e := newEngine(t, testLimits)
	const start = testStart / msPerSecond
	e.Advance(testStart)
	one(t, e, with(OpSet, "v", exptime(100)))
	r := e.NewReader()
	expect := func(keepAccess bool, want string) {
		t.Helper()
		if got := look(r, keepAccess); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	r.SetNow(start + 5)
	expect(true, "k=v marks 0 ttl 100 idle 5")
	expect(true, "k=v marks 0 ttl 100 idle 5")
	expect(false, "k=v marks 0 ttl 100 idle 5")
	expect(false, "k=v marks 8 ttl 100 idle 0")
	r.SetNow(start + 7)
	r.Look(nil, []byte("k"), false, func(dst, _ []byte, _ Item) []byte { return dst }) // not an answer
	expect(true, "k=v marks 8 ttl 100 idle 2")
	read(r, "k")
	expect(true, "k=v marks 8 ttl 100 idle 0")
	r.SetNow(start) // a clock that was set back
	expect(true, "k=v marks 8 ttl 100 idle 0")

	before := digest(e)
	r.SetNow(start + 20)
	expect(false, "k=v marks 8 ttl 100 idle 13")
	if digest(e) != before || get(restored(t, e), "k") != "v/0" {
		t.Fatal("reads are part of the state")
	}
	e.Advance(testStart + 30_000)
	moved := e.st.Move(store.Seed(0).Hash([]byte("k")), e.st.Find([]byte("k")).Handle(), store.QueueMain, 0)
	if moved == 0 {
		t.Fatal("not moved")
	}
	r.SetNow(start + 30)
	expect(true, "k=v marks 8 ttl 70 idle 10")
	one(t, e, with(OpDelete, "", also(item.Invalidate)))
	expect(true, "k=v marks 10 ttl 70 idle 10")
	if got := one(t, e, with(OpMetaGet, "", also(item.KeepAccess))); got.Marks != item.Won|item.Stale|item.HitBefore || got.IdleSeconds != 10 {
		t.Fatalf("%+v", got)
	}
	expect(true, "k=v marks 14 ttl 70 idle 10")
	one(t, e, with(OpMetaGet, ""))
	expect(true, "k=v marks 14 ttl 70 idle 0")
	one(t, e, with(OpSet, "w"))
	expect(true, "k=w marks 0 ttl -1 idle 0")
	one(t, e, k(OpTouch, ""))
	expect(true, "k=w marks 8 ttl -1 idle 0")
	if r := restored(t, e).NewReader(); look(r, true) != "k=w marks 0 ttl -1 idle 0" {
		t.Fatal("reads were restored")
	}
}

// TestLookAllocatesNothing: it is the read of most meta gets.
func TestLookAllocatesNothing(t *testing.T) {
	e := newEngine(t, testLimits)
	one(t, e, k(OpSet, "value"))
	dst, key, r := make([]byte, 0, 64), []byte("k"), e.NewReader()
	seconds := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		seconds++
		r.SetNow(seconds)
		dst, _ = r.Look(dst[:0], key, false, appendItemValue)
	}); n != 0 {
		t.Fatalf("a hit allocates %v times", n)
	}
}

// TestWins is what decides whether a read has to become a write.
func TestWins(t *testing.T) {
	const now, soon = testStart, testStart + 10_000
	for _, c := range []struct {
		name    string
		marks   item.Marks
		expiry  int64
		recache int64
		want    bool
	}{
		{"fresh", 0, 0, 0, false},
		{"stale", item.Stale, 0, 0, true},
		{"stale and won", item.Stale | item.AlreadyWon, 0, 0, false},
		{"less left", 0, soon, 11, true},
		{"as much left", 0, soon, 10, false},
		{"a part of a second counts as one", 0, soon - 999, 10, false},
		{"less left and won", item.AlreadyWon, soon, 11, false},
		{"never expires", 0, 0, 11, false},
		{"recache of 0", 0, soon, 0, false},
		{"recache in the past", 0, soon, -1, false},
		{"before a moment", 0, soon, soon/msPerSecond + 1, true},
		{"at that moment", 0, soon, soon / msPerSecond, false},
		{"beyond 32 bits", 0, soon, 1 << 32, false},
	} {
		it := Item{Marks: c.marks, ExpiryMs: c.expiry, NowMs: now}
		if it.Wins(c.recache) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}
