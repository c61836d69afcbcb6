package replication

import (
	"testing"

	"raftcached/engine"
)

// TestLeaderWaitsForWhatItHasCommitted: a read at a leader comes before what is on its way to
// a majority, and after what is committed. Nothing is due by a stamp that nobody has
// applied. Others wait for all that is in their logs.
func TestLeaderWaitsForWhatItHasCommitted(t *testing.T) {
	g := newGateBench()
	g.lease.Known = 100
	g.append(gateEntry(101, 5, gateSet("a")), gateEntry(102, 6, gateSet("b")), gateEntry(103, 7, gateSet("b")))
	a, b := engine.HashKey([]byte("a")), engine.HashKey([]byte("b"))
	if s := g.Look(a); s != (Sight{}) || !g.Still() {
		t.Errorf("before a majority has anything a read heeds %+v", s)
	}
	if !g.Changes(a) || !g.Changes(b) || g.Changes(engine.HashKey([]byte("c"))) {
		t.Error("the log changes a and b, and not c")
	}
	g.lease.Known = 102
	g.append()
	g.want(t, "a", 101)
	if g.Still() {
		t.Error("102 is not applied")
	}
	g.want(t, "b", 102) // 103 has not come to a majority
	g.want(t, "c", 0)
	if s := g.look("c"); s.DueMs != 7 || s.End != 102 || g.End() != 102 {
		t.Errorf("a read of c heeds %+v up to %d, want stamp 7 and 102", s, g.End())
	}
	if !g.Await(0, 102) || g.LookUpTo(102) == (Sight{}) {
		t.Error("a read does not wait for 102")
	}
	g.appliedTo(102)
	if s := g.look("b"); s != (Sight{}) || !g.Still() || g.Await(0, 102) {
		t.Errorf("when all that is committed is applied a read heeds %+v", s)
	}
	g.lease.Known = 0 // it follows
	g.append()
	g.want(t, "b", 103)
	if g.Still() {
		t.Error("103 is not applied")
	}
}
