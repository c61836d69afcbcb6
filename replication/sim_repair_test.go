package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"

	"go.etcd.io/raft/v3"
)

// simCorruptKey is an item that no client ever wrote.
const simCorruptKey = "corrupt"

// corrupt changes a node's state behind raft's back. What clients check is not
// touched: nobody could notice a lie before states are compared.
func (n *simNode) corrupt(value string) {
	n.s.note("corrupt %d %s", n.id, value)
	n.s.stats.corrupted++
	op := engine.Op{Kind: engine.OpSet, Key: []byte(simCorruptKey), Value: []byte(value)}
	n.engine.Apply(1, engine.AppendOp(nil, &op), false)
}

func (n *simNode) isCorrupt() bool {
	_, found := n.engine.NewReader().View(nil, []byte(simCorruptKey), func(dst, _ []byte, _ engine.Item) []byte { return dst })
	return found
}

// judged notes a verdict.
func (n *simNode) judged(j *Judgement) {
	n.s.note("node %d is judged %v at %d: %v", n.id, j.Verdict, j.Index, j.Digests)
	switch j.Verdict {
	case VerdictRepairing:
		n.s.stats.quarantines++
	case VerdictNoMajority:
		n.s.stats.noMajorities++
	}
}

// runCorrupted lets clients work, corrupts the node that pick names at a random
// time, and lets the cluster come to rest.
func runCorrupted(s *simulation, chaos bool, pick func(*simulation) *simNode) {
	s.setUp()
	s.addClients(6)
	if chaos {
		s.chaos(s.now + 10*time.Second)
	}
	s.runUntil(s.now + time.Duration(s.rng.IntN(3000))*time.Millisecond)
	for s.stats.corrupted == 0 {
		if n := pick(s); n != nil && n.up {
			n.corrupt("x")
		}
		s.runUntil(s.now + 10*time.Millisecond)
	}
	if chaos { // until the faults have ended
		s.runUntil(s.now + 15*time.Second)
		s.cut, s.dropPermille = map[[2]int]bool{}, 0
	}
	s.runUntil(s.now + 3*time.Second) // clients work on, so that states are compared
	s.settle()
}

func (s *simulation) anyNode() *simNode { return s.nodes[s.rng.IntN(len(s.nodes))] }

func (s *simulation) leader() *simNode {
	i := slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.up && n.machine.core.state == raft.StateLeader })
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

// TestSimulatedDivergence corrupts the state of one node of a cluster under load:
// it is found out, refuses its clients, gets the state of the others, and serves
// again. No acknowledged write is lost.
func TestSimulatedDivergence(t *testing.T) {
	refused := 0
	for name, pick := range map[string]func(*simulation) *simNode{"any": (*simulation).anyNode, "leader": (*simulation).leader} {
		eachSeed(t, name+"/", 3, func(t *testing.T, s *simulation) {
			runCorrupted(s, false, pick)
			t.Logf("%+v", s.stats)
			if s.stats.quarantines != 1 || s.stats.repairs != 1 || s.stats.acked < 100 {
				t.Fatalf("%+v", s.stats)
			}
			refused += s.stats.refused
			for _, n := range s.nodes {
				if n.isCorrupt() || n.machine.core.Status().Verdict != VerdictOK {
					t.Fatalf("node %d: corrupt %v, %v", n.id, n.isCorrupt(), n.machine.core.Status().Verdict)
				}
				if list, err := n.diverged.List(); err != nil || n.boot == 1 && len(list) > 1 {
					t.Fatalf("node %d keeps %d diverged states: %v", n.id, len(list), err)
				}
			}
		})
	}
	if !t.Failed() && refused == 0 && *simSeeds >= simSeedsCovering {
		t.Fatal("no client was refused")
	}
}

// TestSimulatedDivergenceInChaos does so while nodes crash, pause and are cut
// off. What was corrupted may reach a second node by a snapshot before it is
// found out: then it is the third one that differs. In any case all are equal in
// the end and nothing acknowledged is lost.
func TestSimulatedDivergenceInChaos(t *testing.T) {
	var sum simStats
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		runCorrupted(s, true, (*simulation).anyNode)
		t.Logf("%+v", s.stats)
		sum.quarantines += s.stats.quarantines
		sum.repairs += s.stats.repairs
	})
	if !t.Failed() && (sum.quarantines == 0 || sum.repairs == 0) && *simSeeds >= simSeedsCovering {
		t.Fatalf("covered too little: %+v", sum)
	}
}

// ask submits a write at every node and returns the outcomes.
func (s *simulation) ask() (outcomes []simOutcome) {
	for _, n := range s.nodes {
		c := &simClient{s: s, node: n, told: func(o simOutcome, _ *item.Result) { outcomes = append(outcomes, o) }}
		c.submit(engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
	}
	s.runUntil(s.now + 500*time.Millisecond)
	return outcomes
}

// TestSimulatedNoMajority corrupts two nodes of three, each in its own way:
// nobody can tell who is right, and all refuse writes and still answer reads. A
// node that is started again comes back with the state that its log makes, so
// that there is a majority: the other one is repaired, and all take writes.
func TestSimulatedNoMajority(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		for i, n := range s.nodes[1:] {
			n.corrupt(fmt.Sprint(i))
		}
		for range simDigestEvery { // more than states are compared after
			s.ask()
		}
		for _, n := range s.nodes {
			if v := n.machine.core.Status().Verdict; v != VerdictNoMajority {
				t.Fatalf("node %d is judged %v", n.id, v)
			}
		}
		want := []simOutcome{simRefused, simRefused, simRefused}
		if got := s.ask(); !slices.Equal(got, want) {
			t.Fatalf("writes have outcomes %d, want %d", got, want)
		}
		s.readEverywhere()
		s.nodes[1].crash()
		s.nodes[1].start()
		s.runUntil(s.now + 15*time.Second)
		want = []simOutcome{simAnswered, simAnswered, simAnswered}
		if got := s.ask(); !slices.Equal(got, want) || s.stats.repairs != 1 {
			t.Fatalf("writes have outcomes %d, want %d: %+v", got, want, s.stats)
		}
		s.settle()
	})
}

// readEverywhere reads at every node and insists on an answer.
func (s *simulation) readEverywhere() {
	answered := 0
	for _, n := range s.nodes {
		n.read(&simClient{s: s, node: n, toldRead: func(ok bool) {
			if ok {
				answered++
			}
		}})
	}
	s.runUntil(s.now + 500*time.Millisecond)
	if answered != len(s.nodes) {
		s.failf("%d of %d reads were answered", answered, len(s.nodes))
	}
}

// TestQuarantinedLogCounts: of three nodes, one is down, one was cut off, and
// only the one in quarantine has all that was acknowledged. Nobody else can win
// an election: it stands after all, brings the other one up to date, hands
// leadership on, and gets its state back.
func TestQuarantinedLogCounts(t *testing.T) {
	s := newSimulation(t, 1, 3, 0)
	mustFindNothing(t, 1, func() { quarantinedLogCounts(t, s) })
}

func quarantinedLogCounts(t *testing.T, s *simulation) {
	t.Helper()
	s.setUp()
	leader := s.leader()
	q, g := s.nodes[(leader.id+1)%3], s.nodes[(leader.id+2)%3]
	for _, n := range []*simNode{leader, q} {
		s.cut[[2]int{n.id, g.id}], s.cut[[2]int{g.id, n.id}] = true, true
	}
	acked := false
	c := &simClient{s: s, node: leader, told: func(o simOutcome, _ *item.Result) { acked = o == simAnswered }}
	c.submit(engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
	s.runUntil(s.now + 100*time.Millisecond)
	if !acked {
		t.Fatal("a majority does not acknowledge")
	}
	q.machine.core.shutAway(0, []uint64{g.raft})
	q.core.wake()
	s.runUntil(s.now + 50*time.Millisecond)
	leader.crash()
	s.cut = map[[2]int]bool{}
	s.runUntil(s.now + campaignPatience*simElectionTicks*simTick/2)
	if s.leader() != nil || q.machine.core.Status().Verdict != VerdictRepairing {
		t.Fatalf("node %d leads at once", s.leader().id)
	}
	s.runUntil(s.now + 10*time.Second)
	for _, n := range []*simNode{q, g} {
		if _, found := n.engine.NewReader().View(nil, []byte("k"), func(dst, _ []byte, _ engine.Item) []byte { return dst }); !found {
			t.Fatalf("node %d has lost what was acknowledged", n.id)
		}
	}
	if s.leader() != g || q.machine.core.Status().Verdict != VerdictOK {
		t.Fatalf("node %d is %v and %v", q.id, q.machine.core.state, q.machine.core.Status().Verdict)
	}
}
