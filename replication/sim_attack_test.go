package replication

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// The attacks of simTrouble have one aim: that another leader is elected, and changes
// something, while somebody still relies on the old one.

// depose cuts the leader off, alone or with some others, learners above all, and has
// the rest elect another one as fast as it can: they were just started again, or
// heard of a higher term, and their ticks come in bursts.
func (t *simTrouble) depose() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	d := time.Duration(100+s.rng.IntN(500)) * time.Millisecond
	how, forget := s.rng.IntN(3), s.rng.IntN(4)
	withLearners := s.rng.IntN(3) > 0
	for _, n := range s.nodes {
		if n == leader || withLearners && !leader.machine.core.members.votes(n.raft) {
			continue
		}
		if how != 0 {
			t.add(simRule{from: leader, to: n}, d)
		}
		if how != 1 {
			t.add(simRule{from: n, to: leader}, d)
		}
		switch {
		case !n.up:
		case forget == 0:
			n.crash()
			s.after(time.Duration(1+s.rng.IntN(30))*time.Millisecond, n.start)
		case forget == 1:
			t.raise(n)
		}
		t.rush(n)
	}
	switch s.rng.IntN(4) {
	case 0:
		t.pause(leader)
	case 1:
		t.raise(leader)
	}
}

// rush has the ticks of a node come in bursts.
func (t *simTrouble) rush(n *simNode) {
	for range 6 {
		t.s.after(time.Duration(t.s.rng.IntN(350))*time.Millisecond, func() {
			if n.up {
				n.ticksDue = 1 + t.s.rng.IntN(2*simElectionTicks)
				n.core.wake()
			}
		})
	}
}

// raise tells a node of a higher term, as a rejection does that comes late. It steps
// down, or forgets who leads.
func (t *simTrouble) raise(n *simNode) {
	from := t.s.anyNode()
	if from == n || !n.up {
		return
	}
	m := &pb.Message{
		Type: pb.MsgVoteResp.Enum(), From: new(from.raft), To: new(n.raft), Reject: new(true),
		Term: new(n.machine.core.term + uint64(1+t.s.rng.IntN(2))),
	}
	n.put(input{kind: inputStep, message: m})
}

// holdTransfer has the leader ask a voter to take over, and that message come late, when
// raft has given the transfer up. From then on the old leader hears nothing.
func (t *simTrouble) holdTransfer() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	delay := time.Duration(50+s.rng.IntN(500)) * time.Millisecond
	t.add(simRule{from: leader, kind: kindTimeoutNow, delay: 2 * delay}, 2*delay)
	leader.transfer([]int{s.anyNode().member.ServerID, AnyServer}[s.rng.IntN(2)])
	s.after(delay, func() {
		for _, n := range s.nodes {
			if n != leader {
				t.add(simRule{from: n, to: leader}, 2*delay)
			}
		}
	})
}

// stallSupport leaves the leader as many voters as it needs, and has them stand still
// behind their next step, for as long as a promise lasts. As soon as they have answered
// what came meanwhile, it is cut off from them too.
func (t *simTrouble) stallSupport() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	d := time.Duration(150+s.rng.IntN(100)) * time.Millisecond
	needed := len(leader.machine.core.members.Conf.GetVoters()) / 2
	for _, i := range s.rng.Perm(len(s.nodes)) {
		n := s.nodes[i]
		switch {
		case n == leader || !n.up:
			continue
		case needed > 0 && leader.machine.core.members.votes(n.raft):
			needed--
			n.core.stall = d
			s.after(d+time.Duration(1+s.rng.IntN(30))*time.Millisecond, func() { t.separate(leader, n, d) })
		default:
			t.separate(leader, n, 2*d)
		}
		s.after(d, func() { t.rush(n) })
	}
}

// separate loses all between two nodes.
func (t *simTrouble) separate(a, b *simNode, d time.Duration) {
	t.add(simRule{from: a, to: b}, d)
	t.add(simRule{from: b, to: a}, d)
}
