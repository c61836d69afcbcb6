package replication

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

const (
	// simReadsLength is how long the clusters of TestSimulatedReads are in trouble.
	simReadsLength = 2 * time.Second

	// simClockBound is by how much the rates of clocks may differ: see leaseOf.
	simClockBound = 0.1

	// simShortLogBytes is so little that whoever misses some entries needs a snapshot.
	simShortLogBytes = 1 << 10

	// simReadsCovering is how many seeds cover between them what TestSimulatedReads is
	// about. So many run by default: they are cheap.
	simReadsCovering = 60

	// simReadsTimeout is short, so that clients come back soon.
	simReadsTimeout = 150 * time.Millisecond
)

// simReadKeys are changed often, but for the last two, which are left to expire.
var simReadKeys = []string{"key-0", "key-1", "key-2", "key-3", "ttl-0", "ttl-1"}

const simOftenKeys = 4

// simReaders reads and writes a few keys at all nodes.
type simReaders struct {
	s       *simulation
	keys    []string
	writes  int
	stopped bool
}

// troubleReaders starts clients, each with one request at a time, at any node.
func (s *simulation) troubleReaders(readers, writers int) *simReaders {
	r := &simReaders{s: s, keys: simReadKeys}
	for range readers {
		r.read(s.anyNode())
	}
	for range writers {
		r.write()
	}
	return r
}

func (r *simReaders) key() string { return r.keys[r.s.rng.IntN(len(r.keys))] }

// read reads a key, and then others, at the same node mostly.
func (r *simReaders) read(n *simNode) {
	s := r.s
	s.after(s.delay(1500*time.Microsecond), func() {
		switch {
		case r.stopped:
			return
		case !n.up || s.rng.IntN(50) == 0:
			r.read(s.anyNode())
			return
		}
		n.inLife(r.ask(n, func() { r.read(n) }).begin)()
	})
}

// burst reads at a node that was paused, before its raft loop takes anything.
func (r *simReaders) burst(n *simNode) {
	if r.stopped || !n.up {
		return
	}
	for range 2 {
		r.ask(n, func() {}).begin() // not in the backlog
	}
}

// soon calls do, in a while, with any node that takes writes then.
func (r *simReaders) soon(do func(n *simNode)) {
	s := r.s
	s.after(s.delay(4*time.Millisecond), func() {
		if r.stopped {
			return
		}
		n := s.anyNode()
		if !n.up || n.paused || s.now < s.trouble.quietTo {
			r.soon(do)
			return
		}
		do(n)
	})
}

// write changes a key, or all, at any node.
func (r *simReaders) write() {
	s := r.s
	r.soon(func(n *simNode) {
		r.writes++
		c := &simClient{s: s, node: n, told: func(o simOutcome, _ *item.Result) {
			if o == simAnswered {
				s.stats.acked++
			}
			r.write()
		}}
		op := r.change()
		c.submit(op)
	})
}

// change returns a random operation.
func (r *simReaders) change() engine.Op {
	rng := r.s.rng
	op := engine.Op{Kind: engine.OpSet, Key: []byte(r.keys[rng.IntN(simOftenKeys)]), Value: fmt.Appendf(nil, "%d ", r.writes)}
	switch rng.IntN(12) {
	case 0:
		op = engine.Op{Kind: engine.OpDelete, Key: op.Key}
	case 1:
		op.Kind = engine.OpAppend
	case 2:
		op.Kind = engine.OpAdd
	case 3:
		op.Exptime = 1
	case 4:
		op = engine.Op{Kind: engine.OpTouch, Key: op.Key, Exptime: int64(rng.IntN(2))}
	case 5:
		switch rng.IntN(20) {
		case 0:
			op = engine.Op{Kind: engine.OpFlushAll, Exptime: int64(rng.IntN(2))}
		case 1, 2:
			op.Key, op.Exptime = []byte(r.keys[simOftenKeys+rng.IntN(len(r.keys)-simOftenKeys)]), 1
		}
	}
	return op
}

// newTroubled returns a cluster of nodes that vote and others that do not, whose clocks
// differ by no more than a bound, with a leader.
func newTroubled(t *testing.T, seed uint64, voters, learners int, leases Leases, bound float64, logRetainBytes int64, bugs bugs) *simulation {
	s := newSimulation(t, seed, 0, bugs)
	s.stepwise, s.leases, s.logRetainBytes = true, leases, logRetainBytes
	s.trouble = &simTrouble{s: s, originMax: time.Minute, calm: true, resumed: func(*simNode) {}}
	s.formed = formed(voters)
	for i := range s.formed {
		s.nodes = append(s.nodes, newSimNode(s, &s.formed[i]))
	}
	s.check, s.order = newSimChecker(s), newSimOrder(s, simReadKeys)
	s.clocksWithin(bound)
	for _, n := range s.nodes {
		n.start()
	}
	s.await(func() bool { return s.leader() != nil })
	s.slowLeads()
	for range learners {
		s.addLearner()
		s.clocksWithin(bound)
	}
	return s
}

// slowLeads has a node with the slowest clock lead, if it can be had soon: its lease
// lasts the longest.
func (s *simulation) slowLeads() {
	slow := slices.MaxFunc(s.nodes, func(a, b *simNode) int { return cmp.Compare(a.clock.slow, b.clock.slow) })
	for range 5 {
		if s.leader().clock.slow == slow.clock.slow {
			return
		}
		s.leader().transfer(slow.member.ServerID)
		s.runUntil(s.now + 50*time.Millisecond)
		s.await(func() bool { return s.leader() != nil })
	}
}

// simPatience is for how long something is awaited: for longer than a snapshot that takes
// four seconds, one that fails before it, and the rest in between.
const simPatience = 15 * time.Second

// await runs until something is so.
func (s *simulation) await(done func() bool) {
	s.awaitAsking(func() {}, done)
}

// awaitAsking asks for something, again and again, until it is so.
func (s *simulation) awaitAsking(ask func(), done func() bool) {
	for begun := s.now; !done(); {
		if s.now > begun+simPatience {
			s.failf("waited too long")
		}
		if (s.now-begun)%(200*time.Millisecond) == 0 {
			ask()
		}
		s.runUntil(s.now + 2*time.Millisecond)
	}
}

// addLearner adds a server that is not to get a vote.
func (s *simulation) addLearner() {
	o := &simOperator{s: s, servers: len(s.nodes)}
	change := func(c *MemberChange) func() {
		return func() {
			if leader := s.leader(); leader != nil {
				again := *c
				leader.change(&again)
			}
		}
	}
	awaited := func() (m Member, ok bool) {
		if leader := s.leader(); leader != nil {
			members := leader.machine.core.members
			if i := members.awaited(o.servers); i >= 0 {
				return members.Members[i], true
			}
		}
		return m, false
	}
	s.awaitAsking(change(&MemberChange{Kind: ChangePrepare, ServerID: o.servers, Host: "learner", LogPort: 1 + o.servers, Stays: true}),
		func() bool { _, ok := awaited(); return ok })
	m, _ := awaited()
	learner := o.joiner(&m)
	s.awaitAsking(change(&MemberChange{Kind: ChangeAdmit, ServerID: o.servers, Directory: learner.member.Directory}),
		func() bool { o.start(); return learner.up })
}

// runReads reads at all nodes of a cluster in trouble.
func runReads(s *simulation) {
	r := s.troubleReaders(12, 10)
	for range 4 {
		r.behind()
	}
	s.trouble.calm, s.trouble.resumed = false, r.burst
	end := s.now + simReadsLength
	s.trouble.again(end)
	if s.seed%4 == 1 {
		s.operate(end)
	}
	if s.seed%7 == 2 {
		s.switching(end)
	}
	s.runUntil(end)
	r.stopped = true
	if s.seed%5 == 0 {
		s.recovers()
	}
}

// recovers ends all trouble, and waits until each node has a change made.
func (s *simulation) recovers() {
	s.trouble.end()
	s.runUntil(s.now + time.Second)
	for _, n := range slices.Clone(s.nodes) {
		n.start()
		s.await(func() bool { return n.gone || s.set(n, "recovered", "x") == simAnswered })
	}
}

// readsOf returns the cluster of a seed: of three or five that vote, or fewer, with
// none to two that do not, with leases or without.
func readsOf(t *testing.T, seed uint64, bound float64, bugs bugs) *simulation {
	leases := []Leases{LeasesOff, LeasesAll, LeasesAll, LeasesLeader}[seed/2%4]
	retain := []int64{simShortLogBytes, simLogRetainBytes}[seed/3%2]
	return newTroubled(t, seed, []int{3, 5, 3, 1, 2, 5}[seed%6], int(seed/6)%3, leases, bound, retain, bugs)
}

// TestSimulatedReads reads at all nodes, those without a vote included, while changes
// are made at all nodes, and anything goes wrong on the scale of an election timeout.
// No read shows what its key had before what was committed when it began.
func TestSimulatedReads(t *testing.T) {
	needSeeds(t)
	var sum simStats
	seeds := *simSeeds
	if seeds == simSeedsDefault {
		seeds = simReadsCovering
	}
	for seed := *simFirst; seed < *simFirst+uint64(seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mustFindNothing(t, seed, func() {
				s := readsOf(t, seed, simClockBound, 0)
				runReads(s)
				t.Logf("%+v", s.stats)
				sum.addReads(&s.stats)
			})
		})
	}
	if !t.Failed() && seeds >= simReadsCovering && !sum.coversReads() {
		t.Fatalf("covered too little: %+v", sum)
	}
}
