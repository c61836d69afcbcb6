package engine

import (
	"fmt"
	"testing"
)

// TestFlushesOfLittleReplaceNothing flushes again and again with one item stored
// in between. To reserve the addresses of a store for each would take a minute
// for 300 KB of the log.
func TestFlushesOfLittleReplaceNothing(t *testing.T) {
	e, twin := newEngine(t, testLimits), newEngine(t, testLimits)
	e.Advance(testStart)
	twin.Advance(testStart)
	st := e.st
	const flushes = 20_000
	var ops []byte
	for n := range flushes {
		ops = AppendOp(ops, &Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n%3), Exptime: int64(n % 2)})
		ops = AppendOp(ops, &Op{Kind: OpFlushAll})
	}
	ops = AppendOp(ops, &Op{Kind: OpSet, Key: []byte("k")})
	if _, err := e.Apply(2*flushes+1, ops, nil, false); err != nil {
		t.Fatal(err)
	}
	if e.st != st {
		t.Fatal("the store was replaced")
	}
	check(t, e)
	for n := range clearedMax + 1 {
		one(t, twin, Op{Kind: OpSet, Key: fmt.Appendf(nil, "k%d", n)})
	}
	one(t, twin, Op{Kind: OpFlushAll})
	if twin.st.index.count != 0 || twin.st == st || get(e, "k") != "/0" {
		t.Fatal("a flush of much, or what followed one of little, went wrong")
	}
}
