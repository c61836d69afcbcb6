package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"raftcached/internal/item"
)

// TestResultsKeepWhatTheyTell applies operations of all shapes at once: results
// must not change with what is applied after them.
func TestResultsKeepWhatTheyTell(t *testing.T) {
	e := newEngine(t, testLimits)
	var ops []byte
	var want []item.Result
	add := func(op Op, r item.Result) {
		ops = AppendOp(ops, &op)
		want = append(want, r)
	}
	for i := range 200 {
		key, value := fmt.Appendf(nil, "key%d", i%7), bytes.Repeat([]byte{byte(i)}, 3*i)
		add(Op{Kind: OpSet, Key: key, Value: value, Flags: uint32(i)}, item.Result{Status: item.StatusStored})
		add(Op{Kind: OpGat, Key: key}, item.Result{Status: item.StatusHit, Key: key, Value: value, Flags: uint32(i), CAS: uint64(5*i + 1)})
		add(Op{Kind: OpGat, Key: []byte("none")}, item.Result{Status: item.StatusMiss, Key: []byte("none")})
		add(Op{Kind: OpSet, Key: []byte("n"), Value: []byte("41")}, item.Result{Status: item.StatusStored})
		add(Op{Kind: OpIncr, Key: []byte("n"), Delta: 1}, item.Result{Status: item.StatusNumber, Number: 42})
		add(Op{Kind: OpDelete, Key: []byte("n")}, item.Result{Status: item.StatusDeleted})
		add(Op{Kind: OpDelete, Key: []byte("n")}, item.Result{Status: item.StatusNotFound})
	}
	results := e.Apply(len(want), ops, true)
	clear(ops)
	one(t, e, Op{Kind: OpFlushAll})
	i := 0
	for r := range results.All(new(item.Result)) {
		if got := *r; fmt.Sprint(got) != fmt.Sprint(want[i]) {
			t.Fatalf("result %d is %+v, want %+v", i, got, want[i])
		}
		i++
	}
	if i != len(want) || results.Len() != len(want) {
		t.Fatalf("%d results, Len is %d, want %d", i, results.Len(), len(want))
	}
}

// TestResultsAreBounded: values beyond the bound are left out, and their operations take
// effect, until results are released.
func TestResultsAreBounded(t *testing.T) {
	e := newEngine(t, testLimits)
	e.LimitResults(50_000)
	one(t, e, k(OpSet, string(make([]byte, 20_000))))
	op := k(OpGat, "")
	ops := AppendOp(AppendOp(AppendOp(nil, &op), &op), &op)
	apply := func(want ...item.Status) *Results {
		t.Helper()
		results := e.Apply(3, ops, true)
		var got []item.Status
		for r := range results.All(new(item.Result)) {
			got = append(got, r.Status)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("statuses %v, want %v", got, want)
		}
		return results
	}
	first := apply(item.StatusHit, item.StatusHit, item.StatusOutOfMemory)
	if e.Apply(3, ops, false) != nil {
		t.Fatal("there are results that nobody wants")
	}
	none := apply(item.StatusOutOfMemory, item.StatusOutOfMemory, item.StatusOutOfMemory)
	first.Release()
	none.Release()
	apply(item.StatusHit, item.StatusHit, item.StatusOutOfMemory).Release()
	if held := e.results.held.Load(); held != 0 {
		t.Fatalf("%d bytes are held", held)
	}
}

// TestResultsAllocations: a sub-batch costs a fixed number of allocations, and a
// byte for each result that is a status only.
func TestResultsAllocations(t *testing.T) {
	skipUnderRace(t)
	for _, c := range []struct {
		name        string
		op          Op
		count       int
		allocations float64
	}{
		{"a set", k(OpSet, "1"), 1, 1},
		{"many sets", k(OpSet, "1"), 1000, 2},
		{"an incr", delta(OpIncr, 1), 1, 2},
		{"a gat", k(OpGat, ""), 1, 3},
	} {
		e := newEngine(t, testLimits)
		one(t, e, k(OpSet, "1"))
		var ops []byte
		for range c.count {
			ops = AppendOp(ops, &c.op)
		}
		n := testing.AllocsPerRun(50, func() {
			e.Apply(c.count, ops, true)
		})
		if n > c.allocations {
			t.Errorf("%s: %v allocations, want %v", c.name, n, c.allocations)
		}
	}
}
