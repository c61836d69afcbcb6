package replication

import (
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// switchTo asks a node for other leases, and waits until all nodes that are up have them.
func (r *rig) switchTo(at *rigNode, leases Leases) {
	r.t.Helper()
	at.feed(input{kind: inputChange, change: &MemberChange{Kind: ChangeLeases, Leases: leases}})
	r.until("leases of another kind", func() bool {
		for _, n := range r.nodes {
			if n.up && n.machine.core.leases() != leases {
				return false
			}
		}
		return true
	})
}

// TestLeasesAreSwitched: who has a lease follows the log, on all nodes, and after a
// restart. What was granted before is respected until it ends.
func TestLeasesAreSwitched(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	h := r.others(leader)[0]
	leader.reads, h.reads = true, true
	r.run(time.Second)
	if leader.leased() || h.leased() {
		t.Fatal("leases are off, and a node has one")
	}
	r.switchTo(h, LeasesLeader)
	r.until("a lease of the leader", leader.leased)
	r.run(5 * wantGap)
	if h.leased() {
		t.Fatal("only the leader may have a lease, and another node has one")
	}
	r.switchTo(h, LeasesAll)
	r.until("a lease of a reader", h.leased)

	// The holder does not hear that leases are off: it has one until it ends.
	r.lose = func(m *rigMail) bool { return m.to == h.id || m.from == h.id }
	r.pass(grantMax / 4)
	leader.feed(input{kind: inputChange, change: &MemberChange{Kind: ChangeLeases, Leases: LeasesOff}})
	r.until("leases off at the leader", func() bool { return leader.machine.core.leases() == LeasesOff })
	if h.leased() || leader.leased() {
		t.Fatalf("leases are off at the leader: it has one: %v, a holder that lacks that entry has one: %v", leader.leased(), h.leased())
	}
	r.lose = nil
	r.until("members as of the switch", func() bool { return h.machine.core.leases() == LeasesOff })
	r.run(time.Second)
	if leader.leased() || h.leased() {
		t.Fatal("leases are off again, and a node has one")
	}
	r.switchTo(leader, LeasesLeader)
	for _, n := range r.nodes {
		n.stop()
	}
	for _, n := range r.nodes {
		n.start()
	}
	r.until("a lease after a start", func() bool { return r.leader() != nil && r.leader().leased() })
	r.sound()
}

// TestGrantsOutlastTheSwitch: a holder that has applied that leases are off before its
// grant has ended uses it on, and writes wait for it.
func TestGrantsOutlastTheSwitch(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesAll, bugs)
		leader := r.elect()
		h := r.others(leader)[0]
		r.readers(h)
		r.switchTo(leader, LeasesOff)
		if !h.leased() || leader.machine.core.holders.find(h.id) == nil {
			t.Fatalf("a grant ends with the switch: at the holder: %v", !h.leased())
		}
		r.hold = appendsTo(h)
		before := leader.commit()
		leader.set("k")
		r.deliver()
		if waits := leader.commit() == before; waits != (bugs == 0) {
			t.Fatalf("bugs %b: a write waits for who holds a lease: %v", bugs, waits)
		}
		r.until("the write", func() bool { return leader.commit() > before })
		if bugs == 0 && h.leased() {
			t.Fatal("it has a lease for longer than it was granted")
		}
		r.sound()
	}, bugHoldersForgotten)
}

// TestPromisesPrecedeTheSwitch: a leader relies on leases as soon as it has applied that
// they are on, so who has not applied it yet is bound all the same.
func TestPromisesPrecedeTheSwitch(t *testing.T) {
	eachBug(t, func(_ *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesOff, bugs)
		leader := r.elect()
		f, other := r.others(leader)[0], r.others(leader)[1]
		r.run(time.Second)
		f.late, other.late = true, true
		leader.feed(input{kind: inputChange, change: &MemberChange{Kind: ChangeLeases, Leases: LeasesLeader}})
		r.until("a lease", leader.leased)
		r.cut(leader)
		term := leader.machine.core.term
		r.stepped(f, other, &pb.Message{Type: pb.MsgVoteResp.Enum(), Term: new(term + 1), Reject: new(true)}, 0)
		r.hold = func(*rigMail) bool { return true }
		r.stepped(f, other, voteIn(term+2, ""), 0)
		if r.voted(f) {
			r.found = "a node votes that supports a lease"
		}
		r.sound()
	}, bugPromiseWhenSwitched)
}
