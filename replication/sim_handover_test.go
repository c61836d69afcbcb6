package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
)

const (
	// simHandOverMax and simDrainMax bound what simNode.stop waits for.
	simHandOverMax = 3 * time.Second
	simDrainMax    = 5 * time.Second
)

// askedFor judges whom a node asks to take over by the members that it knows then: they
// may change within the same turn.
func (n *simNode) askedFor(eff *Effects) {
	for ; n.asked < len(eff.Transfers); n.asked++ {
		if to, ok := n.machine.core.members.Find(eff.Transfers[n.asked].To); !ok || to.Retired || to.Learner {
			n.s.failf("node %d asks %+v to take over", n.id, to)
		}
	}
}

// transfers notes that a node asks a voter to take over.
func (n *simNode) transfers(t *Transfer) {
	n.s.stats.transfers++
	n.s.note("transfer %d %d", n.id, t.To)
	n.s.showTransfer(n, t)
}

// leads reports whether a node takes itself for the leader.
func (n *simNode) leads() bool { return n.up && n.machine.core.state == raft.StateLeader }

// stop stops a node as SIGTERM does: it hands over, takes no more requests, answers
// the open ones, and ends. Then it is started again.
func (n *simNode) stop() {
	s, begun := n.s, n.s.now
	s.stats.handOvers++
	n.stopping = true
	s.note("stop %d", n.id)
	led := n.leads()
	n.put(input{kind: inputHandOver})
	var look func()
	look = func() {
		switch {
		case !n.draining && (n.handedOver || s.now > begun+simHandOverMax):
			if led && !n.leads() {
				s.stats.handedOn++
			}
			n.draining, begun = true, s.now
		case n.draining && (len(n.waiting)+len(n.readers) == 0 || s.now > begun+simDrainMax):
			n.crash()
			s.after(time.Duration(10+s.rng.IntN(500))*time.Millisecond, n.start)
			return
		}
		s.after(time.Millisecond, n.inLife(look))
	}
	n.inLife(look)()
}

// awaitStops waits until the nodes that are being stopped have stopped.
func (s *simulation) awaitStops() {
	end := s.now + simHandOverMax + simDrainMax
	for s.now < end && slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.stopping }) {
		s.runUntil(s.now + simTick)
	}
}

// stopping stops the leader, or somebody, or two at once, again and again until the
// given time. Sometimes the node that is asked to take over crashes meanwhile.
func (s *simulation) stopping(until time.Duration) {
	s.after(time.Duration(200+s.rng.IntN(800))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		n := s.leader()
		if n == nil || s.rng.IntN(4) == 0 {
			n = s.anyNode()
		}
		before := s.stats.transfers
		if n.up && !n.paused {
			n.stop()
		}
		switch other := s.anyNode(); s.rng.IntN(4) {
		case 0:
			if other != n && other.up && !other.paused {
				other.stop()
			}
		case 1:
			s.after(time.Duration(s.rng.IntN(10_000))*time.Microsecond, func() {
				if other != n && other.up && s.stats.transfers > before {
					other.crash()
					s.after(time.Duration(10+s.rng.IntN(500))*time.Millisecond, other.start)
				}
			})
		}
		s.stopping(until)
	})
}

// compareStates lets clients write until all nodes are repaired, and states have been
// compared after that: they are at entries only.
func (s *simulation) compareStates() {
	inQuarantine := func(n *simNode) bool { return !n.up || n.machine.core.Status().Verdict == VerdictRepairing }
	for end := s.now + 10*time.Second; s.now < end && slices.ContainsFunc(s.nodes, inQuarantine); {
		s.runUntil(s.now + simTick)
	}
	s.runUntil(s.now + time.Second)
}

// TestSimulatedHandOver stops servers in order under load, with each seed in
// another way: in peace, in chaos, or with states that diverge meanwhile.
func TestSimulatedHandOver(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addClients(6)
		s.hinting()
		end := s.now + 6*time.Second
		s.stopping(end)
		if s.seed%3 == 1 {
			s.chaos(end)
		}
		for s.now < end {
			s.runUntil(s.now + time.Second)
			// States are compared at entries: some must follow the last change.
			if n := s.leader(); s.seed%3 == 2 && s.now <= end-3*time.Second && s.rng.IntN(2) == 0 && n != nil {
				n.corrupt(fmt.Sprint(s.rng.IntN(1000)))
			}
		}
		s.awaitStops()
		if s.stats.corrupted > 0 {
			s.compareStates()
		}
		s.settle()
		t.Logf("%+v", s.stats)
		if s.stats.handOvers == 0 || s.seed%3 != 1 && (s.stats.handedOn == 0 || s.stats.acked < 100) {
			t.Fatalf("covered too little: %+v", s.stats)
		}
	})
}

// simGap is for how long writes wait around a planned stop in the simulation, whose
// disks take 0.5 ms and whose network takes 1 ms, a hundredth of them much longer.
const simGap = 100 * time.Millisecond

// TestHandOverWithoutElection: while nothing else goes wrong, leadership moves
// without an election timeout, and no request of a client fails.
func TestHandOverWithoutElection(t *testing.T) {
	quick, all := 0, 0
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addClients(3)
		s.runUntil(s.now + time.Second)
		for range 3 {
			n := s.leader()
			began := s.now
			n.stop()
			for !n.handedOver {
				s.runUntil(s.now + time.Millisecond)
			}
			if n.leads() || s.leader() == nil {
				t.Fatal("may stop, and no other node leads")
			}
			all++
			if s.now-began < simGap {
				quick++
			}
			s.runUntil(s.now + time.Second) // it is back
		}
		s.settle()
		if unknown := s.stats.unknown + s.stats.noLeader; unknown > 0 {
			t.Errorf("%d requests failed", unknown)
		}
		if s.stats.transfers != 3 {
			t.Errorf("%d transfers, want one for each stop", s.stats.transfers)
		}
	})
	if quick*10 < all*9 {
		t.Errorf("%d of %d stops took less than %v", quick, all, simGap)
	}
}

// TestRetiredVoterIsNotAsked to take over: it counts for majorities, and is not heard.
// Nor is a learner.
func TestRetiredVoterIsNotAsked(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addReadReplica()
		leader := s.leader()
		other := (leader.id + 1) % 3
		leader.change(&MemberChange{Kind: ChangeReplace, ServerID: other, Host: "new", LogPort: 1})
		for end := s.now + time.Second; leader.machine.core.members.Version < 3 && s.now < end; {
			s.runUntil(s.now + time.Millisecond)
		}
		leader.put(input{kind: inputHandOver})
		s.runUntil(s.now + time.Second)
		if next := s.leader(); next == nil || next == leader || next.id == other || s.stats.transfers != 1 {
			t.Fatalf("after %d transfers node %+v leads", s.stats.transfers, next)
		}
	})
}
