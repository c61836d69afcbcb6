package replication

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// gateBench is a gate whose clock and lease the test sets. Its log ends at 100, and
// all of that is applied.
type gateBench struct {
	*Gate
	now   time.Duration
	lease Lease
}

func newGateBench() *gateBench {
	g := &gateBench{Gate: newGate(&simMachine{}, 2, 100, 100), lease: Lease{Until: time.Second, Term: 7}}
	g.clock = func() time.Duration { return g.now }
	return g
}

func (g *gateBench) append(ents ...*pb.Entry) {
	g.publish(&Effects{Lease: g.lease, Append: []*pb.Message{{Entries: ents}}})
}

// gateEntry is an entry that carries operations.
func gateEntry(index uint64, stampMs int64, ops ...engine.Op) *pb.Entry {
	var b []byte
	for i := range ops {
		b = engine.AppendOp(b, &ops[i])
	}
	subs := appendSubBatch(nil, &SubBatch{Origin: 1, Boot: 1, Seq: index, Count: len(ops), Ops: b})
	return &pb.Entry{
		Index: proto.Uint64(index), Term: proto.Uint64(7), Type: pb.EntryNormal.Enum(),
		Data: encodeEntry(stampMs, nil, 1, subs),
	}
}

func gateSet(key string) engine.Op { return engine.Op{Kind: engine.OpSet, Key: []byte(key)} }

func (g *gateBench) look(key string) Sight { return g.Look(engine.HashKey([]byte(key))) }

func (g *gateBench) want(t *testing.T, key string, index uint64) {
	t.Helper()
	if s := g.look(key); s.Index != index {
		t.Errorf("a read of %s waits for %d, want %d", key, s.Index, index)
	}
}

// TestOnlyKeysUnderWayWait: a key waits from when its entry goes to the log until
// that is applied, and no other key does.
func TestOnlyKeysUnderWayWait(t *testing.T) {
	g := newGateBench()
	g.want(t, "a", 0)
	g.append(gateEntry(101, 5, gateSet("a")), gateEntry(102, 6, gateSet("b"), gateSet("a")), gateEntry(103, 7, gateSet("c")))
	g.want(t, "a", 102)
	g.want(t, "b", 102)
	g.want(t, "c", 103)
	g.want(t, "d", 0)
	g.appliedTo(102)
	g.want(t, "a", 0)
	g.want(t, "c", 103)
	g.appliedTo(103)
	g.want(t, "c", 0)
}

// TestAllKeysAreUnderWay: what may change any key makes each one wait.
func TestAllKeysAreUnderWay(t *testing.T) {
	unreadable := gateEntry(101, 5, gateSet("a"))
	unreadable.Data = unreadable.GetData()[:len(unreadable.GetData())-1]
	later := gateEntry(101, 5)
	later.Data = append([]byte{0x94, 2}, later.GetData()[2:]...) // of the next version
	unknown := gateEntry(101, 5)
	unknown.Type = pb.EntryConfChange.Enum()
	empty, members := gateEntry(101, 5), gateEntry(101, 5)
	empty.Data, members.Type = nil, pb.EntryConfChangeV2.Enum()
	for _, c := range []struct {
		name  string
		entry *pb.Entry
		all   bool
	}{
		{"flush_all", gateEntry(101, 5, gateSet("a"), engine.Op{Kind: engine.OpFlushAll}), true},
		{"a later flush_all", gateEntry(101, 5, engine.Op{Kind: engine.OpFlushAll, Exptime: 60}), true},
		{"cache_memlimit", gateEntry(101, 5, engine.Op{Kind: engine.OpMemoryLimit, Delta: 8 << 20}), true},
		{"formation", gateEntry(101, 5, engine.Op{Kind: engine.OpInit}), true},
		{"part of a backup", gateEntry(101, 5, engine.Op{Kind: engine.OpFillItems}), true},
		{"end of a backup", gateEntry(101, 5, engine.Op{Kind: engine.OpFillEnd}), true},
		{"operations that cannot be read", gateEntry(101, 5, gateSet("a"), engine.Op{Kind: 99}), true},
		{"entry that cannot be read", unreadable, true},
		{"entry of a later version", later, true},
		{"entry of another type", unknown, true},
		{"a leader's first entry", empty, false},
		{"change of the members", members, false},
		{"set", gateEntry(101, 5, gateSet("a")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateBench()
			g.append(c.entry)
			g.append(gateEntry(102, 6, gateSet("b")))
			if want := map[bool]uint64{true: 101}[c.all]; g.look("other").Index != want {
				t.Fatalf("a read of another key waits for %d, want %d", g.look("other").Index, want)
			}
			g.want(t, "b", 102)
			g.appliedTo(101)
			g.want(t, "other", 0)
		})
	}
}

// TestKeysAfterAStartAndASnapshot (H8): what a log holds from before, or a snapshot
// replaces, is not known by its keys.
func TestKeysAfterAStartAndASnapshot(t *testing.T) {
	g := newGateBench()
	g.Gate = newGate(&simMachine{}, 2, 90, 100)
	g.clock = func() time.Duration { return 0 }
	g.want(t, "a", 100)
	g.appliedTo(99)
	g.want(t, "a", 100)
	g.appliedTo(100)
	g.want(t, "a", 0)

	meta := &pb.SnapshotMetadata{Index: proto.Uint64(500), Term: proto.Uint64(7)}
	g.publish(&Effects{Append: []*pb.Message{{Snapshot: &pb.Snapshot{Metadata: meta}}}})
	g.want(t, "a", 500)
	g.append(gateEntry(501, 5, gateSet("b")))
	g.want(t, "a", 500)
	g.want(t, "b", 501)
	g.appliedTo(500)
	g.want(t, "a", 0)
}

// TestKeysWithoutALease: what goes to the log while there is none counts for all keys.
func TestKeysWithoutALease(t *testing.T) {
	g := newGateBench()
	had := g.lease
	g.lease.Until = 0
	g.append(gateEntry(101, 5, gateSet("a")), gateEntry(102, 5, gateSet("b")))
	g.lease = had
	g.append(gateEntry(103, 5, gateSet("a")))
	g.want(t, "a", 103)
	for _, key := range []string{"b", "c"} {
		g.want(t, key, 102)
	}
	g.appliedTo(102)
	g.want(t, "a", 103)
	g.want(t, "b", 0)
	g.want(t, "c", 0)
}

// BenchmarkPublish is what the raft loop does about the keys of 100 sets.
func BenchmarkPublish(b *testing.B) {
	for name, until := range map[string]time.Duration{"lease": time.Second, "no lease": 0} {
		b.Run(name, func(b *testing.B) {
			g := newGateBench()
			g.lease.Until = until
			ops := make([]engine.Op, 100)
			for i := range ops {
				ops[i] = engine.Op{Kind: engine.OpSet, Key: fmt.Appendf(nil, "key-%012d", i), Value: make([]byte, 100)}
			}
			eff := &Effects{Lease: g.lease, Append: []*pb.Message{{Entries: []*pb.Entry{gateEntry(101, 5, ops...)}}}}
			b.ReportAllocs()
			for b.Loop() {
				g.publish(eff)
			}
		})
	}
}

// TestALogThatIsCutOff: a change that another leader has cut off is not waited for
// any longer than what is there instead, and one before it is not forgotten.
func TestALogThatIsCutOff(t *testing.T) {
	g := newGateBench()
	g.append(gateEntry(101, 5, gateSet("kept")), gateEntry(102, 6, gateSet("lost")), gateEntry(103, 99, gateSet("kept")))
	g.want(t, "kept", 103)
	g.append(gateEntry(102, 7, gateSet("new")))
	g.want(t, "lost", 102)
	g.want(t, "kept", 102) // later than it need be
	g.want(t, "new", 102)
	if s := g.look("other"); s.DueMs != 99 || s.End != 102 {
		t.Errorf("what a lost stamp had made due: %+v, want it to wait for 102", s)
	}
	g.appliedTo(102)
	for _, key := range []string{"kept", "lost", "new"} {
		g.want(t, key, 0)
	}
	if s := g.look("other"); s != (Sight{}) {
		t.Errorf("all is applied, and a read heeds %+v", s)
	}
}

// TestWhatIsDueByTheNewestStamp (H9): another node may have applied that stamp, and
// have told that the item is gone.
func TestWhatIsDueByTheNewestStamp(t *testing.T) {
	g := newGateBench()
	g.append(gateEntry(101, 5000, gateSet("a")))
	want := func(what string, got, want Sight) {
		t.Helper()
		if got != want {
			t.Errorf("%s: a read heeds %+v, want %+v", what, got, want)
		}
	}
	want("a stamp", g.look("b"), Sight{DueMs: 5000, End: 101})
	g.append(gateEntry(102, 4000), gateEntry(103, 4500)) // of a leader whose clock is behind
	g.appliedTo(101)
	want("older stamps", g.look("b"), Sight{DueMs: 5000, End: 103})
	want("after a wait", g.LookUpTo(102), Sight{DueMs: 5000, End: 102})
	want("after a wait for what is applied", g.LookUpTo(101), Sight{})
	g.append(gateEntry(102, 6000)) // of another leader
	want("after a wait for what is cut off", g.LookUpTo(103), Sight{DueMs: 6000, End: 102})
	g.appliedTo(102)
	want("all is applied", g.look("b"), Sight{})
	want("all is applied after a wait", g.LookUpTo(103), Sight{})
}

// TestLeaseOfAGate: no read is answered at or after its end, after it was withdrawn, or
// in another term.
func TestLeaseOfAGate(t *testing.T) {
	g := newGateBench()
	want := func(what string, leased bool) {
		t.Helper()
		if _, got := g.Leased(); got != leased {
			t.Errorf("%s: leased is %v, want %v", what, got, leased)
		}
	}
	want("before the first lease", false)
	g.append()
	g.now = time.Second - 1
	want("before the end", true)
	g.now = time.Second
	want("at the end", false)
	g.lease.Until = 2 * time.Second
	g.append()
	want("extended", true)
	g.lease.Until = 1500 * time.Millisecond
	g.append()
	g.now = 1600 * time.Millisecond
	want("cut short", false)
	g.lease = Lease{Until: 3 * time.Second, Term: 8}
	g.append()
	want("of another term", true)
	g.publish(&Effects{Lease: Lease{Term: 8}})
	want("withdrawn", false)
	g.append()
	want("given again", true)
	g.publish(&Effects{Failed: errors.New("a failure")})
	want("after a failure", false)
}

// leaseAtMarks notes whether there was a lease when keys were marked.
type leaseAtMarks struct {
	*simMachine
	gate   *gateBench
	leased []bool
}

func (l *leaseAtMarks) Keys(int, []byte, func(uint64)) bool {
	_, leased := l.gate.Leased()
	l.leased = append(l.leased, leased)
	return true
}

// TestALeaseIsWithdrawnBeforeMarksAndExtendedAfter: a read that finds a lease that was
// just given finds all that is marked with it.
func TestALeaseIsWithdrawnBeforeMarksAndExtendedAfter(t *testing.T) {
	for _, c := range []struct {
		name       string
		before     Lease
		after      Lease
		meanwhile  bool
		afterwards bool
	}{
		{"given", Lease{Term: 7}, Lease{Until: time.Second, Term: 7}, false, true},
		{"kept", Lease{Until: time.Second, Term: 7}, Lease{Until: time.Second, Term: 7}, true, true},
		{"shortened", Lease{Until: time.Second, Term: 7}, Lease{Until: 1, Term: 7}, false, false},
		{"of another term", Lease{Until: time.Second, Term: 7}, Lease{Until: 2 * time.Second, Term: 8}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateBench()
			m := &leaseAtMarks{gate: g}
			g.machine, g.now = m, 1
			g.publish(&Effects{Lease: c.before})
			g.lease = c.after
			g.append(gateEntry(101, 5, gateSet("a")))
			if _, leased := g.Leased(); len(m.leased) != 1 || m.leased[0] != c.meanwhile || leased != c.afterwards {
				t.Fatalf("leased while keys are marked: %v, afterwards: %v", m.leased, leased)
			}
		})
	}
}

// TestLastRead: whoever asks for leases learns that clients read here.
func TestLastRead(t *testing.T) {
	g := newGateBench()
	if g.LastRead() != 0 {
		t.Fatal("nobody has read")
	}
	for _, at := range []time.Duration{0, time.Second, time.Second + readNoteGap} {
		g.now = at
		g.Leased()
		if got := g.LastRead(); got != max(1, at) {
			t.Errorf("the last read was at %v, want %v", got, at)
		}
	}
	g.now += readNoteGap - 1
	g.Leased()
	if got := g.LastRead(); got != g.now-readNoteGap+1 {
		t.Errorf("the last read was at %v", got)
	}
}

// TestAwaitedIndexes: a loop is told once when the index that it waits for is applied,
// cut off, or not to be waited for any more.
func TestAwaitedIndexes(t *testing.T) {
	g := newGateBench()
	var told []int
	g.moved = func(loop int) { told = append(told, loop) }
	want := func(what string, loops ...int) {
		t.Helper()
		if !slices.Equal(told, loops) {
			t.Errorf("%s: told loops %v, want %v", what, told, loops)
		}
		told = nil
	}
	ents := func(from, to uint64) (list []*pb.Entry) {
		for i := from; i <= to; i++ {
			list = append(list, gateEntry(i, 1, gateSet("a")))
		}
		return list
	}
	if g.Await(0, 100) {
		t.Error("waits for what is applied")
	}
	g.appliedTo(100)
	g.append(ents(101, 110)...)
	want("nobody waits")
	if !g.Await(0, 105) || !g.Await(0, 103) || !g.Await(0, 109) || !g.Await(1, 105) {
		t.Error("does not wait")
	}
	g.appliedTo(102)
	want("less is applied")
	g.appliedTo(104)
	want("the first one's is applied", 0)
	if !g.Await(0, 109) {
		t.Error("does not wait for the rest")
	}
	g.appliedTo(106)
	want("the other one's is applied", 1)
	g.append(ents(108, 108)...) // of another leader
	want("the log is cut off", 0)
	if !g.Await(0, 109) {
		t.Error("does not wait for what is left")
	}
	g.appliedTo(108)
	want("what is left is applied", 0)
	if g.Await(0, 109) {
		t.Error("waits for what was cut off")
	}
	g.append(ents(109, 112)...)
	g.Await(0, 112)
	told = nil
	g.publish(&Effects{Lease: g.lease})
	want("nothing has changed")
	g.now = time.Second
	g.publish(&Effects{Lease: g.lease})
	want("there is no lease any more", 0)
}
