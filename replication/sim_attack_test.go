package replication

import (
	"slices"
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
	how, forget := s.rng.IntN(5), s.rng.IntN(4)
	with, rest := t.sides(leader)
	for _, n := range rest {
		for _, m := range with {
			if m != leader || how != 0 {
				t.add(simRule{from: m, to: n}, d)
			}
			if m != leader || how != 1 {
				t.add(simRule{from: n, to: m}, d)
			}
		}
		switch {
		case !n.up:
		case forget == 0:
			n.crash()
			s.after(time.Duration(1+s.rng.IntN(30))*time.Millisecond, n.start)
		case forget == 1:
			t.raise(n)
		}
		t.rush(n, 350*time.Millisecond)
	}
	switch s.rng.IntN(4) {
	case 0:
		t.pause(leader)
	case 1:
		t.raise(leader)
	}
}

// sides divides the nodes: the leader is with less than half of the voters, and with all
// learners or none.
func (t *simTrouble) sides(leader *simNode) (with, rest []*simNode) {
	s := t.s
	voters := leader.machine.core.members.Conf.GetVoters()
	learners := s.rng.IntN(3) > 0
	spared := s.rng.IntN((len(voters)-1)/2 + 1)
	with = append(with, leader)
	for _, i := range s.rng.Perm(len(s.nodes)) {
		n := s.nodes[i]
		votes := slices.Contains(voters, n.raft)
		switch {
		case n == leader:
		case votes && spared > 1:
			spared--
			with = append(with, n)
		case !votes && learners:
			with = append(with, n)
		default:
			rest = append(rest, n)
		}
	}
	return with, rest
}

// rush has the ticks of a node come in bursts, for some time.
func (t *simTrouble) rush(n *simNode, d time.Duration) {
	for range 6 {
		t.s.after(time.Duration(t.s.rng.Int64N(int64(d))), func() {
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
		s.after(d, func() { t.rush(n, 350*time.Millisecond) })
	}
}

// answerLate holds back for a short time what tells the leader that the others know no
// later one. Then it hears nothing, and they elect another.
func (t *simTrouble) answerLate() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	d := time.Duration(100+s.rng.IntN(200)) * time.Millisecond
	begins := time.Duration(1+s.rng.IntN(60)) * time.Millisecond
	for _, n := range s.nodes {
		if n == leader {
			continue
		}
		t.add(simRule{from: n, to: leader, kind: kindHeartbeatResp, delay: 2 * d}, begins)
		t.add(simRule{from: n, to: leader, kind: kindReadIndex, delay: 2 * d}, begins)
		s.after(begins, func() {
			t.separate(n, leader, 2*d)
			t.rush(n, d)
		})
	}
}

// separate loses all between two nodes.
func (t *simTrouble) separate(a, b *simNode, d time.Duration) {
	t.add(simRule{from: a, to: b}, d)
	t.add(simRule{from: b, to: a}, d)
}

// starve cuts append streams from the leader, while its control streams live.
func (t *simTrouble) starve() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	for _, n := range s.nodes {
		if n != leader && s.rng.IntN(2) == 0 {
			t.add(simRule{from: leader, to: n, kind: kindAppend, delay: t.some()}, t.some())
		}
	}
}

// outrun loses the entries for one node until the leader's log does not hold them any more.
func (t *simTrouble) outrun() {
	if n := t.s.anyNode(); n != t.s.leader() {
		t.add(simRule{to: n, kind: kindAppend}, time.Duration(50+t.s.rng.IntN(400))*time.Millisecond)
	}
}

// confuse cuts the leader off with what clients write there. Another one takes over, and
// hears the old one again, whose append stream is dead.
func (t *simTrouble) confuse() {
	s, old := t.s, t.s.leader()
	if old == nil {
		return
	}
	d := time.Duration(250+s.rng.IntN(150)) * time.Millisecond
	for _, n := range s.nodes {
		if n != old {
			t.separate(old, n, d)
			t.add(simRule{from: n, to: old, kind: kindAppend, delay: time.Duration(1+s.rng.IntN(200)) * time.Millisecond}, 2*d)
		}
	}
}

// inherit lets the leader hear that its last entries are committed, and tell nobody. One of
// those that have them takes over, whose append streams are dead while its control streams
// live: it leads, and does not know what is committed.
func (t *simTrouble) inherit() {
	s, old := t.s, t.s.leader()
	if old == nil {
		return
	}
	d := time.Duration(300+s.rng.IntN(200)) * time.Millisecond
	for _, n := range s.nodes {
		if n != old {
			t.add(simRule{from: old, to: n}, d)
			t.add(simRule{from: n, kind: kindAppend, delay: time.Duration(1+s.rng.IntN(300)) * time.Millisecond}, 2*d)
			t.rush(n, d)
		}
	}
}

// lag lets appliers stand still, one after the other, some across a start.
func (t *simTrouble) lag() {
	for _, n := range t.s.nodes {
		t.s.after(time.Duration(t.s.rng.IntN(300))*time.Millisecond, func() {
			if n.up && t.s.rng.IntN(4) == 0 {
				n.crash()
				n.start()
			}
			t.holdUp(n, 2)
		})
	}
}

// shrink removes a voter while the leader and the fewest others acknowledge, so that
// what was acknowledged before is committed by the change itself.
func (t *simTrouble) shrink() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	t.starve()
	members := leader.machine.core.members
	if voters := members.Conf.GetVoters(); len(voters) > 2 {
		m, _ := members.Find(voters[s.rng.IntN(len(voters))])
		leader.change(&MemberChange{Kind: ChangeRemove, ServerID: m.ServerID})
		t.holdUp(leader, 2)
	}
}

// stepDown cuts a voter off from the leader until it is bound no more, while nobody
// writes. Then the leader steps down and may vote for it, with learners cut off from
// all.
func (t *simTrouble) stepDown() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	voters := leader.machine.core.members.Conf.GetVoters()
	d := time.Duration(185+s.rng.IntN(40)) * time.Millisecond
	t.quietTo = s.now + 50*time.Millisecond + d
	s.after(50*time.Millisecond, func() {
		for _, i := range s.rng.Perm(len(s.nodes)) {
			next := s.nodes[i]
			if next == leader || !slices.Contains(voters, next.raft) {
				continue
			}
			t.separate(leader, next, d)
			s.after(d, func() {
				t.raise(leader)
				t.rush(next, 40*time.Millisecond)
				for _, n := range s.nodes {
					for _, m := range s.nodes {
						if n != m && !slices.Contains(voters, n.raft) {
							t.separate(n, m, d)
						}
					}
				}
			})
			return
		}
	})
}

// reboot starts a node again while grants to it are on their way, and lets its log fall
// behind.
func (t *simTrouble) reboot() {
	s, leader, n := t.s, t.s.leader(), t.s.anyNode()
	if leader == nil || n == leader || !n.up {
		return
	}
	t.add(simRule{from: leader, to: n, kind: kindSignal, delay: 100 * time.Millisecond}, 40*time.Millisecond)
	s.after(30*time.Millisecond, func() {
		if n.up {
			n.crash()
			s.after(time.Duration(1+s.rng.IntN(10))*time.Millisecond, n.start)
		}
	})
	s.after(200*time.Millisecond, func() {
		t.add(simRule{from: leader, to: n, kind: kindAppend}, 300*time.Millisecond)
		t.add(simRule{from: n, to: leader, kind: kindSignal}, 300*time.Millisecond)
	})
}
