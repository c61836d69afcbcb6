package replication

import (
	"fmt"
	"testing"
	"time"

	"raftcached/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	rigPromise = (simElectionTicks - 2) * simTick
	rigLease   = rigPromise * 4 / 5
)

// stepped gives a node a message that a test has made up, from one node to another.
func (r *rig) stepped(to, from *rigNode, m *pb.Message, round uint64) {
	m.From, m.To = new(from.id), new(to.id)
	to.feed(input{kind: inputStep, message: m, round: round})
}

// voteIn is a request of a candidate that nobody's log is ahead of.
func voteIn(term uint64, context string) *pb.Message {
	m := &pb.Message{Type: pb.MsgVote.Enum(), Term: new(term), Index: new(uint64(1 << 20)), LogTerm: new(term)}
	if context != "" {
		m.Context = []byte(context)
	}
	return m
}

// voted reports whether a node's vote is in the mail.
func (r *rig) voted(n *rigNode) bool {
	for _, m := range r.mail {
		if m.from == n.id && m.is(pb.MsgVoteResp) && !m.in.message.GetReject() {
			return true
		}
	}
	return false
}

// TestLeaderLease: a leader has a lease as long as a majority answers its heartbeats,
// and when it is cut off the lease has ended before another node leads, with each
// clock running fast or slow.
func TestLeaderLease(t *testing.T) {
	for _, rate := range []float64{-0.09, 0, 0.09} {
		for seed := range 5 {
			t.Run(fmt.Sprintf("leader %+.2f seed %d", rate, seed), func(t *testing.T) {
				r := newRig(t, 3, LeasesLeader, 0)
				r.run(time.Duration(seed) * 37 * simTick)
				leader := r.elect()
				r.restartFast(leader, rate)
				leader = r.elect()
				for range 100 {
					r.run(simTick)
					if left := leader.lease.Until - leader.clock(); left < rigLease/2 || left > rigLease {
						t.Fatalf("lease has %v left, want %v at most and half of it at least", left, rigLease)
					}
				}
				r.cut(leader)
				term := leader.lease.Term
				r.until("another leader", func() bool {
					next := r.leader()
					if next != leader && leader.leased() {
						t.Fatalf("node %d leads while node %d has a lease", next.id, leader.id)
					}
					return next != leader && next.leased()
				})
				r.lose = nil
				r.run(10 * simTick)
				if leader.lease.Until != 0 || leader.lease.Term == term {
					t.Fatalf("a follower has lease %+v of its own", leader.lease)
				}
			})
		}
	}
}

// restartFast makes the clock of a node fast, and that of all others slow, by as much,
// and starts all again.
func (r *rig) restartFast(n *rigNode, rate float64) {
	for _, o := range r.nodes {
		o.stop()
		if o.fast = -rate; o == n {
			o.fast = rate
		}
	}
	for _, o := range r.nodes {
		o.start()
	}
}

// TestPromiseOfAFollower: what its leader's messages bind a follower to. raft itself
// would vote: it was made to forget its leader by a rejection that came late.
func TestPromiseOfAFollower(t *testing.T) {
	r := newRig(t, 3, LeasesLeader, 0)
	leader := r.elect()
	f, other := r.others(leader)[0], r.others(leader)[1]
	term := leader.lease.Term
	r.stepped(f, other, &pb.Message{Type: pb.MsgVoteResp.Enum(), Term: new(term + 1), Reject: new(true)}, 0)
	r.hold = func(*rigMail) bool { return true }
	r.stepped(f, other, voteIn(term+2, ""), 0)
	if f.machine.core.term != term+1 || f.machine.core.leader != raft.None {
		t.Fatalf("term %d, leader %d: raft did not forget its leader", f.machine.core.term, f.machine.core.leader)
	}
	if r.voted(f) {
		t.Fatal("it votes within its promise")
	}
	r.pass(rigPromise - simTick)
	if r.stepped(f, other, voteIn(term+2, ""), 0); r.voted(f) {
		t.Fatal("it votes shortly before its promise ends")
	}
	r.pass(simTick)
	if r.stepped(f, other, voteIn(term+2, ""), 0); !r.voted(f) {
		t.Fatal("it does not vote when its promise has ended")
	}
}

// TestPromiseYieldsToATransfer: raft's own transfer needs no promise to end.
func TestPromiseYieldsToATransfer(t *testing.T) {
	r := newRig(t, 3, LeasesLeader, 0)
	leader := r.elect()
	f, other := r.others(leader)[0], r.others(leader)[1]
	r.hold = func(*rigMail) bool { return true }
	if r.stepped(f, other, voteIn(leader.lease.Term+1, campaignTransfer), 0); !r.voted(f) {
		t.Fatal("it does not vote")
	}
}

// TestPromiseOfAProcess: a node that is started again may have promised before.
func TestPromiseOfAProcess(t *testing.T) {
	for _, bugs := range []bugs{0, bugStartUnbound} {
		r := newRig(t, 3, LeasesLeader, bugs)
		leader := r.elect()
		f, other := r.others(leader)[0], r.others(leader)[1]
		f.stop()
		r.pass(simTick)
		f.start()
		r.hold = func(*rigMail) bool { return true }
		r.stepped(f, other, voteIn(leader.lease.Term+1, ""), 0)
		if r.voted(f) != (bugs != 0) {
			t.Fatalf("bugs %b: voted at its start: %v", bugs, r.voted(f))
		}
		r.pass(rigPromise)
		if r.stepped(f, other, voteIn(leader.lease.Term+1, ""), 0); !r.voted(f) {
			t.Fatal("it does not vote when its promise has ended")
		}
	}
}

// TestPromiseOfALeader (H1): a leader that has stepped down is bound by the rounds that
// it has sent: what others have learned from it may outlast its own lease.
func TestPromiseOfALeader(t *testing.T) {
	for _, bugs := range []bugs{0, bugLeaderUnbound} {
		r := newRig(t, 3, LeasesLeader, bugs)
		leader := r.elect()
		other, term := r.others(leader)[0], leader.lease.Term
		r.until("a round", func() bool {
			return leader.machine.core.lease.sent[leader.machine.core.lease.round%roundsMax].at == leader.clock()
		})
		r.hold = func(*rigMail) bool { return true }
		r.stepped(leader, other, &pb.Message{Type: pb.MsgAppResp.Enum(), Term: new(term + 1)}, 0)
		if leader.machine.core.leads() || leader.leased() {
			t.Fatalf("leads: %v, has lease %+v, after a higher term", leader.machine.core.leads(), leader.lease)
		}
		// A process promises at its start; this one has run for longer.
		r.pass(rigPromise - simTick)
		if r.stepped(leader, other, voteIn(term+2, ""), 0); r.voted(leader) != (bugs != 0) {
			t.Fatalf("bugs %b: voted within the promise: %v", bugs, r.voted(leader))
		}
		r.pass(simTick)
		if r.stepped(leader, other, voteIn(term+2, ""), 0); !r.voted(leader) {
			t.Fatal("it does not vote when its promise has ended")
		}
	}
}

// TestOnlyVoterIsBoundAtItsStart (H5): it needs nobody's vote, but may have promised a
// learner. One that never had anybody beside it waits for nothing.
func TestOnlyVoterIsBoundAtItsStart(t *testing.T) {
	r := newRig(t, 1, LeasesAll, 0)
	only := r.nodes[0]
	if only.tick(); !only.machine.core.leads() {
		t.Fatal("a lone node does not lead at once")
	}
	r.addLearner()
	only.stop()
	only.start()
	from := r.now
	r.until("led", func() bool { return only.machine.core.leads() })
	if took := r.now - from; took < rigPromise || took > rigPromise+2*simTick {
		t.Fatalf("the only voter leads %v after its start, want about %v", took, rigPromise)
	}
}

// TestTicksInABurst: ticks that come faster than time passes make nobody stand who is
// bound, and cost nobody a second election timeout.
func TestTicksInABurst(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		r := newRig(t, nodes, LeasesLeader, 0)
		leader := r.elect()
		n := leader
		if nodes == 1 {
			r.addLearner()
			leader.stop()
			leader.start()
		} else {
			n = r.others(leader)[0]
		}
		r.cut(n)
		for range 10 * simElectionTicks {
			n.tick()
		}
		if s := n.machine.core.raw.BasicStatus(); s.RaftState != raft.StateFollower {
			t.Fatalf("of %d: it is %v within its promise", nodes, s.RaftState)
		}
		r.pass(rigPromise)
		for range simElectionTicks + 2 {
			n.tick()
		}
		if s := n.machine.core.raw.BasicStatus(); s.RaftState == raft.StateFollower {
			t.Fatalf("of %d: it does not stand when its promise has ended", nodes)
		}
	}
}

// TestRoundOfALeftTerm: a round is acknowledged only if it was accepted before this
// node has left its term, even if an answer to an earlier one has not left yet.
func TestRoundOfALeftTerm(t *testing.T) {
	r := newRig(t, 3, LeasesLeader, 0)
	leader := r.elect()
	f, other := r.others(leader)[0], r.others(leader)[1]
	term := leader.lease.Term
	heartbeat := func() *pb.Message {
		return &pb.Message{Type: pb.MsgHeartbeat.Enum(), Term: new(term), From: new(leader.id), To: new(f.id)}
	}
	core := f.machine.core
	before := core.accepted.Number
	f.observe()
	must(t, core.Step(heartbeat(), before+1))
	vote := voteIn(term+1, campaignTransfer)
	vote.From, vote.To = new(other.id), new(f.id)
	must(t, core.Step(vote, 0))
	must(t, core.Step(heartbeat(), before+2))
	r.hold = func(*rigMail) bool { return true }
	f.ready()
	found := false
	for _, m := range r.mail {
		if m.from == f.id && m.is(pb.MsgHeartbeatResp) {
			if found = true; m.in.round != before+1 {
				t.Errorf("it acknowledges round %d, want %d", m.in.round, before+1)
			}
		}
	}
	if !found {
		t.Fatal("no answer to a heartbeat")
	}
}

// TestLeaseEndsWithATransfer: before a voter is told to take over the lease is
// withdrawn, and there is none for the rest of the term, though the transfer fails.
// Nobody else can begin one.
func TestLeaseEndsWithATransfer(t *testing.T) {
	for _, bugs := range []bugs{0, bugLeaseOverTransfer} {
		r := newRig(t, 3, LeasesLeader, bugs)
		leader := r.elect()
		to := r.others(leader)[0]
		m := &pb.Message{Type: pb.MsgTransferLeader.Enum(), Term: new(leader.lease.Term), From: new(to.id), To: new(leader.id)}
		if leader.machine.core.Step(m, 0) == nil {
			t.Fatal("a peer may move leadership by raft's message")
		}
		told := false
		r.lose = func(m *rigMail) bool {
			told = told || m.is(pb.MsgTimeoutNow)
			return m.is(pb.MsgTimeoutNow)
		}
		leader.feed(input{kind: inputTransfer, tag: 1, n: int(to.id) - 1})
		r.until("told to take over", func() bool { return told })
		for range 100 {
			if leader.leased() != (bugs != 0) {
				t.Fatalf("bugs %b: it has a lease after it has told another one to take over: %v", bugs, leader.leased())
			}
			r.run(simTick)
		}
		if r.leader() != leader {
			t.Fatal("another one leads without being told to")
		}
	}
}

// TestLeaseEndsWithoutADisk: a leader whose disk stands still has no lease soon, so that
// it can hand over, and one again when its disk answers.
func TestLeaseEndsWithoutADisk(t *testing.T) {
	r := newRig(t, 3, LeasesLeader, 0)
	leader := r.elect()
	leader.hangs = true
	r.lose = func(m *rigMail) bool { return m.is(pb.MsgTimeoutNow) }
	leader.set("k")
	from := r.now
	r.until("no lease", func() bool { return !leader.leased() })
	if took := r.now - from; took > rigPromise/2+rigLease+2*simTick {
		t.Fatalf("it ends %v after the disk stood still", took)
	}
	if r.leader() != leader {
		t.Fatal("another one leads")
	}
	r.run(rigPromise)
	if leader.leased() {
		t.Fatal("it is renewed while the disk stands still")
	}
}

// set has a client write at a node.
func (n *rigNode) set(key string) {
	ops := engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: []byte("x")})
	n.feed(input{kind: inputSubmit, tag: 1, n: 1, bytes: ops, ok: true})
}

// TestLearnersDoNotCount: a leader that reaches learners only has no lease for long.
func TestLearnersDoNotCount(t *testing.T) {
	for _, bugs := range []bugs{0, bugLearnerSupports} {
		r := newRig(t, 3, LeasesLeader, bugs)
		r.addLearner()
		r.addLearner()
		leader := r.elect()
		var voters []*rigNode
		for _, n := range r.others(leader) {
			if leader.machine.core.members.votes(n.id) {
				voters = append(voters, n)
			}
		}
		r.cut(voters...)
		r.run(rigLease + 2*simTick)
		if leader.leased() != (bugs != 0) {
			t.Fatalf("bugs %b: it has a lease by two learners: %v", bugs, leader.leased())
		}
	}
}

// TestNoLeases: with the setting off nobody has a lease. Nodes promise all the same.
func TestNoLeases(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	r.until("a leader", func() bool { return r.leader() != nil })
	r.run(time.Second)
	for _, n := range r.nodes {
		if n.lease.Until != 0 || !n.machine.core.bound() {
			t.Fatalf("node %d has lease %+v, is bound: %v", n.id, n.lease, n.machine.core.bound())
		}
	}
}

// TestLeasesSendNothing: what leases need travels with raft's heartbeats.
func TestLeasesSendNothing(t *testing.T) {
	var sent [2]int
	for i, leases := range []Leases{LeasesOff, LeasesAll} {
		r := newRig(t, 3, leases, 0)
		r.elect()
		r.run(time.Second)
		r.lose = func(*rigMail) bool {
			sent[i]++
			return false
		}
		r.run(3 * time.Second)
	}
	if sent[0] != sent[1] {
		t.Fatalf("%d messages in three idle seconds without leases, %d with them", sent[0], sent[1])
	}
}
