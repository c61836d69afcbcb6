package replication

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// readers makes clients read at nodes, and waits until all of them have a lease.
func (r *rig) readers(nodes ...*rigNode) {
	r.t.Helper()
	for _, n := range nodes {
		n.reads = true
	}
	r.until("leases of all readers", func() bool {
		for _, n := range nodes {
			if !n.leased() {
				return false
			}
		}
		return true
	})
}

// sound fails the test if the invariant of leases was broken, or was not though a bug was
// built in.
func (r *rig) sound() {
	r.t.Helper()
	switch {
	case r.bugs == 0 && r.found != "":
		r.t.Fatal(r.found)
	case r.bugs != 0 && r.found == "":
		r.t.Fatalf("bug %b is not found", r.bugs)
	case r.bugs != 0:
		r.t.Logf("found bug %b: %s", r.bugs, r.found)
	}
}

// eachBug tells a story with nothing broken, and with each of some bugs, which it must
// find.
func eachBug(t *testing.T, tell func(t *testing.T, bugs bugs), list ...bugs) {
	t.Helper()
	tell(t, 0)
	for _, b := range list {
		tell(t, b)
	}
}

func (n *rigNode) commit() uint64 { return n.machine.core.commit }

// appendsTo holds the entries back that go to a node. Its control stream lives.
func appendsTo(nodes ...*rigNode) func(*rigMail) bool {
	return func(m *rigMail) bool {
		for _, n := range nodes {
			if m.to == n.id && m.is(pb.MsgApp) {
				return true
			}
		}
		return false
	}
}

// TestReadLeases: followers and learners have leases while clients read there, writes go
// on, and leases end when nobody reads.
func TestReadLeases(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	r.addLearner()
	leader := r.elect()
	r.readers(r.others(leader)...)
	for range 100 {
		before := leader.commit()
		leader.set("k")
		r.run(simTick)
		if leader.commit() == before {
			t.Fatalf("nothing is committed: %+v", leader.machine.core.holders)
		}
		for _, n := range r.nodes {
			if !n.leased() {
				t.Fatalf("node %d has no lease", n.id)
			}
		}
	}
	r.sound()
	for _, n := range r.nodes {
		n.reads = false
	}
	r.run(wantAfterRead + 2*grantMax)
	if s := leader.machine.core.Status(); s.Holders != 0 || s.HolderWaits.Worst != 0 || r.nodes[3].leased() {
		t.Fatalf("after a second without reads: %d holders, waits %+v", s.Holders, s.HolderWaits)
	}
}

// TestGoalIsTheEndOfTheLog (H2): a change of the configuration may commit what was
// acknowledged before, beyond what was committed when a node became a holder.
func TestGoalIsTheEndOfTheLog(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 4, LeasesAll, bugs)
		learner := r.addLearner()
		leader := r.elect()
		r.until("settled members", func() bool { return leader.machine.core.members.settled() })
		r.run(10 * simTick)
		b, c, d := r.others(leader)[0], r.others(leader)[1], r.others(leader)[2]
		leader.late = true // its applier
		leader.feed(input{kind: inputChange, change: &MemberChange{Kind: ChangeRemove, ServerID: int(d.id) - 1}})
		r.until("committed", func() bool { return leader.commit() > leader.machine.core.applied })
		r.run(10 * simTick)
		r.hold = appendsTo(c, d, learner)
		leader.set("k")
		r.deliver()
		last := leader.machine.core.lastIndex
		if b.commit() == last {
			t.Fatal("two of four have committed an entry")
		}
		learner.reads = true
		learner.tick()
		r.deliver()
		leader.late = false
		leader.write()
		leader.applied()
		if leader.commit() < last {
			t.Fatalf("two of three have not committed entry %d, but %d", last, leader.commit())
		}
		r.sound()
	}, bugGoalIsCommit, bugGoalIgnored)
}

// TestEntriesOfALoser (H3): how far a log matches the leader's does not show by its end.
func TestEntriesOfALoser(t *testing.T) {
	eachBug(t, func(_ *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesAll, bugs)
		loser := r.elect()
		r.cut(loser)
		for range 20 {
			loser.set("k")
		}
		r.until("another leader", func() bool { return r.leader() != loser })
		leader := r.leader()
		r.lose, r.hold = nil, appendsTo(loser)
		loser.reads = true
		r.run(10 * simTick)
		leader.set("k")
		r.run(10 * simTick)
		r.sound()
	}, bugLastIsMatched)
}

// TestGrantOfAnEarlierProcess (H4): it is void.
func TestGrantOfAnEarlierProcess(t *testing.T) {
	for _, bugs := range []bugs{0, bugBootIgnored} {
		r := newRig(t, 3, LeasesAll, bugs)
		leader := r.elect()
		f := r.others(leader)[0]
		r.run(simTick * 10)
		var grant *rigMail
		r.hold = func(m *rigMail) bool {
			late := m.to == f.id && m.in.kind == inputSignalled && m.in.bytes[1] == signalGrant
			if late {
				grant = m
			}
			return late
		}
		f.reads = true
		r.until("a grant", func() bool { return grant != nil })
		f.stop()
		f.start()
		f.reads = false
		leader.set("k")
		r.deliver()
		f.feed(grant.in)
		if f.leased() != (bugs != 0) {
			t.Fatalf("bugs %b: it uses a grant of the process before: %v", bugs, f.leased())
		}
	}
}

// TestLeasesAreGivenBack: before a voter is told to take over, every holder has given its
// lease back, or it has run out.
func TestLeasesAreGivenBack(t *testing.T) {
	for _, away := range []bool{false, true} {
		eachBug(t, func(t *testing.T, bugs bugs) {
			r := newRig(t, 3, LeasesAll, bugs)
			learner := r.addLearner()
			leader := r.elect()
			r.readers(r.others(leader)...)
			from, told := r.now, false
			r.lose = func(m *rigMail) bool {
				if m.is(pb.MsgTimeoutNow) && !told {
					told = true
					for _, n := range r.nodes {
						if n.leased() {
							r.found = "a voter is told to take over while a node has a lease"
						}
					}
				}
				return away && (m.to == learner.id || m.from == learner.id)
			}
			to := r.others(leader)[0]
			leader.feed(input{kind: inputTransfer, tag: 1, n: int(to.id) - 1})
			r.deliver()
			if told != (!away || bugs != 0) {
				t.Fatalf("holder away: %v, bugs %b: told to take over at once: %v", away, bugs, told)
			}
			r.until("transferred", func() bool { return r.leader() == to })
			if most := grantMax + 5*simTick; r.now-from > most {
				t.Fatalf("holder away: %v: a transfer takes %v, want %v at most", away, r.now-from, most)
			}
			r.sound()
		}, bugLeaseOverTransfer)
	}
}

// TestLateReturn: what says that a lease was given back says nothing of a later grant.
func TestLateReturn(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	h, to := r.others(leader)[0], r.others(leader)[1]
	r.readers(h)
	var late *rigMail
	r.lose = func(m *rigMail) bool {
		returned := m.in.kind == inputSignalled && m.in.bytes[1] == signalReturned
		if returned {
			late = m
		}
		return returned || m.is(pb.MsgTimeoutNow)
	}
	r.hold = appendsTo(to) // so that nobody is told
	leader.set("k")
	r.deliver()
	leader.feed(input{kind: inputTransfer, tag: 1, n: int(to.id) - 1})
	r.deliver()
	if late == nil || h.leased() {
		t.Fatalf("returned: %v, has a lease: %v", late != nil, h.leased())
	}
	leader.feed(input{kind: inputForget, tag: 1})
	r.until("a lease again", h.leased)
	leader.feed(late.in)
	if leader.machine.core.holders.find(h.id) == nil {
		t.Fatal("a holder is forgotten by a late message")
	}
}

// TestGrantsEndWithTheLeadersLease: a leader that is cut off from the voters grants
// nothing that outlasts its own lease, and so what others promised. Their ticks come as
// fast as they may, and the holder asks at each of its own.
func TestGrantsEndWithTheLeadersLease(t *testing.T) {
	eachBug(t, func(_ *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesAll, bugs)
		learner := r.addLearner()
		leader := r.elect()
		r.readers(learner)
		voters := r.others(leader)[:2]
		r.cut(voters...)
		for range simElectionTicks {
			voters[1].tick()
		}
		for end := r.now + 2*rigPromise; r.now < end; {
			r.pass(simTick)
			leader.tick()
			learner.machine.core.reading.next = 0
			learner.tick()
			voters[1].tick()
			for range 2 * simElectionTicks {
				if !voters[0].machine.core.leads() {
					voters[0].tick()
				}
			}
			r.deliver()
			voters[0].set("k")
			r.deliver()
		}
		if r.leader() != voters[0] {
			t.Fatal("nobody else leads")
		}
		r.sound()
	}, bugGrantUnbounded)
}

// TestLeaseEndsWithASnapshot: a log that begins anew ends a lease, and what was asked for
// before is void.
func TestLeaseEndsWithASnapshot(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	h := r.others(leader)[0]
	r.readers(h)
	core := h.machine.core
	m := &pb.Message{From: new(h.id), To: new(raft.LocalAppendThread), Type: pb.MsgStorageAppend.Enum(), Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(core.lastIndex), Term: new(core.term)}}}
	h.observe()
	core.dispatch(m)
	if got := core.currentLease(); got.Until != 0 {
		t.Fatalf("it has lease %+v", got)
	}
	if core.reading.floor != h.clock() {
		t.Fatalf("grants count that were asked for after %v, it is %v", core.reading.floor, h.clock())
	}
}

// TestQuarantineEndsLeases: a state that a majority contradicts is shown to nobody.
func TestQuarantineEndsLeases(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	h := r.others(leader)[0]
	r.readers(h)
	for _, n := range []*rigNode{h, leader} {
		n.observe()
		n.machine.core.shutAway(1, nil)
		if n.ready(); n.leased() {
			t.Fatalf("node %d has a lease in quarantine", n.id)
		}
	}
	r.run(time.Second)
	if h.leased() || leader.leased() {
		t.Fatal("it has a lease again")
	}
}
