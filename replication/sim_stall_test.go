package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

const simElection = simElectionTicks * simTick

// stall lets a node's disk stand still for some time: what is written, or synced,
// does not come back, as with fdatasync on a disk that hangs.
func (n *simNode) stall(d time.Duration) {
	n.s.note("stall %d", n.id)
	n.append.heldUp = true
	n.s.after(d, n.inLife(n.append.goOn))
}

// stalling lets the leader's disk, or any, stand still for up to four seconds, again
// and again until the given time.
func (s *simulation) stalling(until time.Duration) {
	s.after(time.Duration(200+s.rng.IntN(1500))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		n := s.leader()
		if n == nil || s.rng.IntN(3) == 0 {
			n = s.anyNode()
		}
		if n.up && !n.append.heldUp {
			n.stall(time.Duration(50+s.rng.IntN(4000)) * time.Millisecond)
		}
		s.stalling(until)
	})
}

// set sets a key at a node.
func (n *simNode) set(key string, told func(simOutcome, *item.Result)) {
	c := &simClient{s: n.s, node: n, told: told}
	c.submit(engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: []byte("x")})
}

// TestSimulatedStalls lets disks stand still, several at a time too, under load, and
// with each second seed in chaos.
func TestSimulatedStalls(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addClients(6)
		end := s.now + 8*time.Second
		s.stalling(end)
		if s.seed%2 == 0 {
			s.chaos(end)
			s.stopping(end)
		}
		s.runUntil(end + 4*time.Second) // until all disks work
		s.awaitStops()
		s.settle()
		t.Logf("%+v", s.stats)
		if s.seed%2 == 1 && (s.stats.transfers == 0 || s.stats.acked < 100) || s.stats.acked < 30 {
			t.Fatalf("covered too little: %+v", s.stats)
		}
	})
}

// stalledLeaders lets the leader's disk stand still under load, three times. Another
// node leads within two election timeouts, clients of the others are served, and
// until its disk works the node does not stand for election, not even while nobody
// leads.
func (s *simulation) stalledLeaders() {
	s.setUp()
	s.addClients(6)
	s.runUntil(s.now + time.Second)
	for range 3 {
		n := s.leader()
		n.stall(5 * time.Second)
		s.flooding(s.now+3*simElection, 5*time.Millisecond)
		s.runUntil(s.now + 2*simElection)
		if n.leads() || s.leader() == nil {
			s.failf("two election timeouts after its disk stood still, node %d leads: %v, anybody: %v", n.id, n.leads(), s.leader() != nil)
		}
		next := s.leader()
		stored := false
		next.set("served", func(o simOutcome, _ *item.Result) { stored = o == simAnswered })
		s.runUntil(s.now + simElection)
		if !stored {
			s.failf("no client is served while the disk of node %d stands still", n.id)
		}
		n.stood = 0
		s.cutOff(next)
		s.runUntil(s.now + 10*simElection)
		if n.stood > 0 || n.leads() {
			s.failf("node %d stands for election with a disk that stands still: %d messages", n.id, n.stood)
		}
		s.cut = map[[2]int]bool{}
		s.runUntil(s.now + 3*time.Second)
		for end := s.now + 5*time.Second; !s.caughtUp(); s.runUntil(s.now + simTick) {
			if s.now > end {
				s.failf("the nodes do not catch up after the disk of node %d works again", n.id)
			}
		}
	}
	s.settle()
}

// caughtUp reports whether somebody leads and nobody is far behind.
func (s *simulation) caughtUp() bool {
	leader := s.leader()
	return leader != nil && !slices.ContainsFunc(s.nodes, func(n *simNode) bool {
		return n.machine.core.applied+simDigestEvery < leader.machine.core.applied
	})
}

// TestStalledLeader: see stalledLeaders.
func TestStalledLeader(t *testing.T) {
	eachSeed(t, "", 3, func(_ *testing.T, s *simulation) { s.stalledLeaders() })
}

// TestStalledLeaderIsBounded: what a leader has in memory of entries that its disk
// does not take is bounded, even if nobody can take over, and the rest waits.
func TestStalledLeaderIsBounded(t *testing.T) {
	s := newSimulation(t, 1, 3, 0)
	mustFindNothing(t, 1, func() {
		s.setUp()
		n := s.leader()
		for _, other := range s.nodes {
			if other != n { // neither does anything to become the leader
				other.put(input{kind: inputHandOver})
			}
		}
		s.runUntil(s.now + simTick)
		n.append.heldUp = true
		before := n.machine.core.lastIndex
		for i := range 2 * entriesAppendingMax {
			n.set(fmt.Sprint(i), func(simOutcome, *item.Result) {})
			s.runUntil(s.now + time.Millisecond)
		}
		if got := n.machine.core.lastIndex - before; !n.leads() || got > entriesAppendingMax {
			t.Errorf("leads: %v, with %d entries that are not on its disk, want at most %d", n.leads(), got, entriesAppendingMax)
		}
	})
}
