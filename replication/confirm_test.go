package replication

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"
)

// sent counts what nodes send each other while do runs, by type: raft's, or signal.
func (r *rig) sent(do func()) map[string]int {
	r.t.Helper()
	counts := map[string]int{}
	seen := map[*pb.Message]bool{}
	lose := r.lose
	r.lose = func(m *rigMail) bool {
		if m.in.kind == inputSignalled {
			counts["signal"]++
		} else if !seen[m.in.message] {
			seen[m.in.message] = true
			counts[m.in.message.GetType().String()]++
		}
		return lose != nil && lose(m)
	}
	do()
	r.lose = lose
	return counts
}

// read asks nodes for a read each, one after the other, and delivers what follows.
func (r *rig) read(nodes ...*rigNode) {
	for _, n := range nodes {
		n.feed(input{kind: inputRead, n: 1})
	}
	r.deliver()
}

// unread reports whether reads of a node are not answered.
func (n *rigNode) unread() bool {
	reads := &n.machine.core.reads
	return len(reads.inflight.joins)+len(reads.forming.joins)+len(reads.waiting) > 0
}

// costs fails the test unless what is done takes just these messages, and answers all
// reads.
func (r *rig) costs(want map[string]int, do func()) {
	r.t.Helper()
	if got := r.sent(do); !maps.Equal(got, want) {
		r.t.Errorf("it takes %v, want %v", got, want)
	}
	for _, n := range r.nodes {
		if n.unread() {
			r.t.Errorf("a read of node %d is not answered", n.id)
		}
	}
}

func rounds(heartbeats, requests int) map[string]int {
	costs := map[string]int{"MsgHeartbeat": heartbeats, "MsgHeartbeatResp": heartbeats}
	if requests > 0 {
		costs["MsgReadIndex"], costs["MsgReadIndexResp"] = requests, requests
	}
	if heartbeats == 0 {
		delete(costs, "MsgHeartbeat")
		delete(costs, "MsgHeartbeatResp")
	}
	return costs
}

// TestMessagesOfReads: what a read costs without a lease. Of three servers a follower and
// the leader are a majority, so that its request is all that they need.
func TestMessagesOfReads(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	f := r.others(leader)
	r.run(time.Second)
	r.costs(rounds(2, 0), func() { r.read(leader) })
	r.costs(rounds(1, 0), func() { r.read(leader) })
	r.costs(rounds(0, 1), func() { r.read(f[0]) })
	r.costs(rounds(1, 2), func() { r.read(leader, f[0], f[1]) })
	supporter := r.node(leader.machine.core.reads.support.last[0])
	r.cut(supporter)
	r.read(leader)
	if !leader.unread() {
		t.Fatal("a read is answered though nobody has confirmed it")
	}
	r.run(simHeartbeatTicks * simTick)
	r.costs(rounds(1, 0), func() { r.read(leader) })
	if now := leader.machine.core.reads.support.last; len(now) != 1 || now[0] == supporter.id {
		t.Errorf("%d is asked though it does not answer", now)
	}
}

// TestReadsShareRounds: those that come during a round wait for it and then share one,
// whoever reads, with learners and members that are no majority with the leader.
func TestReadsShareRounds(t *testing.T) {
	r := newRig(t, 5, LeasesOff, 0)
	r.addLearner()
	leader := r.elect()
	r.run(time.Second)
	r.read(leader)
	r.costs(rounds(2+2, 5), func() {
		r.hold = func(m *rigMail) bool { return m.is(pb.MsgHeartbeatResp) }
		r.read(leader)
		r.read(r.others(leader)...)
		r.read(leader)
		r.hold = nil
		r.deliver()
	})
}

// TestReadOfAFollowerWaitsForTheTerm: a leader that does not know yet what earlier ones
// have committed confirms nothing.
func TestReadOfAFollowerWaitsForTheTerm(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	for _, n := range r.nodes {
		n.late = true
	}
	leader := r.elect()
	f := r.others(leader)[0]
	r.until("known leader", func() bool { return f.machine.core.leader == leader.id })
	core := leader.machine.core
	m := &pb.Message{Type: pb.MsgReadIndex.Enum(), From: new(f.id), To: new(leader.id), Entries: []*pb.Entry{{Data: []byte("0")}}}
	must(t, core.Step(m, 0))
	if len(core.reads.forming.asked) != 1 || len(core.eff.Messages) > 0 {
		t.Fatalf("it answers %v before it has applied an entry of its term", core.eff.Messages)
	}
	for _, n := range r.nodes {
		n.late = false
		n.applied()
	}
	must(t, core.Step(m, 0))
	if len(core.eff.Messages) != 1 || core.eff.Messages[0].GetIndex() < core.commit {
		t.Fatalf("it answers %v, want what is committed", core.eff.Messages)
	}
}

// TestRefusedReadsKeepTheirOrder: answers go to the oldest reads. A node that is no member
// any more refuses those that wait before the one that comes, or a confirmation that is
// on its way would be taken for the new one's.
func TestRefusedReadsKeepTheirOrder(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	f := r.others(leader)[0]
	r.run(time.Second)
	r.hold = func(m *rigMail) bool { return m.is(pb.MsgReadIndexResp) }
	r.read(f)
	r.read(f)
	if !f.unread() {
		t.Fatal("a read is answered though nobody has confirmed it")
	}
	core := f.machine.core
	core.removed = true
	core.Read(0, 1)
	refused := 0
	for _, d := range core.eff.Reads {
		if refused += d.N; d.OK {
			t.Errorf("%+v", d)
		}
	}
	if refused != 3 || f.unread() {
		t.Errorf("%d reads are refused, want all 3", refused)
	}
}

// TestIdleLeases: a cluster without clients sends the same with leases and without.
func TestIdleLeases(t *testing.T) {
	var off map[string]int
	for _, leases := range []Leases{LeasesOff, LeasesLeader, LeasesAll} {
		t.Run(fmt.Sprint(leases), func(t *testing.T) {
			r := newRig(t, 3, leases, 0)
			r.elect()
			r.run(2 * time.Second)
			got := r.sent(func() { r.run(10 * time.Second) })
			if off == nil {
				off = got
			}
			if !maps.Equal(got, off) || got["MsgHeartbeat"] == 0 {
				t.Errorf("in ten seconds it sends %v, without leases %v", got, off)
			}
		})
	}
}

// TestSupportersAreCountedOnce: a peer that answers to a round and to the heartbeat after it
// is one supporter, not a majority of five with the leader.
func TestSupportersAreCountedOnce(t *testing.T) {
	var s support
	s.context = []byte("round")
	voters := quorum.JointConfig{quorum.MajorityConfig{}, nil}
	for id := range uint64(5) {
		voters[0][id+1] = struct{}{}
	}
	for _, from := range []uint64{2, 2, 4} {
		s.answered(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: new(from), Context: s.context})
	}
	if s.confirmed(voters, 1); !slices.Equal(s.last, []uint64{2, 4}) {
		t.Errorf("%d are asked the next time, want 2 and 4", s.last)
	}
}
