package replication

import (
	"fmt"
	"slices"
	"strconv"
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
	_, err := n.engine.Apply(1, engine.AppendOp(nil, &op), false)
	n.check(err)
}

func (n *simNode) isCorrupt() bool {
	_, found := n.engine.NewReader().View(nil, []byte(simCorruptKey), func(dst, _ []byte, _ engine.Item) []byte { return dst })
	return found
}

// readyRepairs carries out what the core wants of repairs.
func (n *simNode) readyRepairs() {
	for _, j := range n.eff.Judged {
		n.s.note("node %d is judged %v at %d: %v", n.id, j.Verdict, j.Index, j.Digests)
		switch j.Verdict {
		case VerdictRepairing:
			n.s.stats.quarantines++
		case VerdictNoMajority:
			n.s.stats.noMajorities++
		}
	}
	if n.eff.Freeze {
		n.toApply = append(n.toApply, applyWork{freeze: true})
	}
	for _, p := range n.eff.Repairs {
		n.toApply = append(n.toApply, applyWork{serve: &p})
	}
}

// applyOne does one piece of the applier's work.
func (n *simNode) applyOne(w applyWork, batch *Batch) {
	switch {
	case w.freeze:
		if n.image != nil {
			n.image.drain()
			n.image = nil
		}
		if image := n.applier.Freeze(batch); image != nil {
			n.check(keepDiverged(n.diverged, image))
		}
	case w.repair != nil:
		n.applier.Aim(w.repair, batch)
	case w.serve != nil:
		n.serveRepair(w.serve)
	default:
		n.check(n.applier.Apply(w.entries, batch))
	}
	if meta := n.applier.RepairDue(); meta != nil {
		n.check(n.applier.Install(n.store, meta, batch))
		n.check(n.store.Prune(meta.GetIndex()))
		n.newest, n.compactTo = meta.GetIndex(), 0
		n.s.stats.repairs++
	}
}

// serveRepair makes a snapshot, if there is none that is new enough, and sends
// it.
func (n *simNode) serveRepair(p *Repair) {
	if n.applier.frozen != nil || n.snapshotting {
		return
	}
	if n.newest >= p.Index {
		n.shipRepair(p.To, n.newest)
		return
	}
	n.snapshot(func(index uint64) { n.shipRepair(p.To, index) })
}

func (n *simNode) shipRepair(raftID, index uint64) {
	to := n.s.nodes[raftID-1]
	n.s.after(n.s.delay(20*time.Millisecond), n.inLife(func() {
		list, err := n.store.List()
		n.check(err)
		if !to.up || to.paused || n.s.cut[[2]int{n.id, to.id}] || to.applier.frozen == nil || to.snapshotting || list[0].GetIndex() != index {
			return
		}
		rc, size, err := n.store.Raw(index, list[0].GetTerm())
		n.check(err)
		meta, err := fetchRepair(to.store, appendRepairHeader(nil, list[0]), size, rc)
		n.check(err)
		n.check(rc.Close())
		to.toApply = append(to.toApply, applyWork{repair: meta})
		to.startApply()
	}))
}

// runCorrupted lets clients work, corrupts the node that pick names at a random
// time, and lets the cluster come to rest.
func runCorrupted(t *testing.T, seed uint64, chaos bool, pick func(*simulation) *simNode) *simulation {
	s := newSimulation(t, seed, 3)
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
	return s
}

func (s *simulation) anyNode() *simNode { return s.nodes[s.rng.IntN(len(s.nodes))] }

func (s *simulation) leader() *simNode {
	i := slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.up && n.core.state == raft.StateLeader })
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
		for seed := *simFirst; seed < *simFirst+uint64(*simSeeds); seed++ {
			t.Run(name+"/"+strconv.FormatUint(seed, 10), func(t *testing.T) {
				s := runCorrupted(t, seed, false, pick)
				t.Logf("%+v", s.stats)
				if s.stats.quarantines != 1 || s.stats.repairs != 1 || s.stats.acked < 100 {
					t.Fatalf("%+v", s.stats)
				}
				refused += s.stats.refused
				for _, n := range s.nodes {
					if n.isCorrupt() || n.core.Status().Verdict != VerdictOK {
						t.Fatalf("node %d: corrupt %v, %v", n.id, n.isCorrupt(), n.core.Status().Verdict)
					}
					if list, err := n.diverged.List(); err != nil || n.boot == 1 && len(list) > 1 {
						t.Fatalf("node %d keeps %d diverged states: %v", n.id, len(list), err)
					}
				}
			})
		}
	}
	if !t.Failed() && refused == 0 {
		t.Fatal("no client was refused")
	}
}

// TestSimulatedDivergenceInChaos does so while nodes crash, pause and are cut
// off. What was corrupted may reach a second node by a snapshot before it is
// found out: then it is the third one that differs. In any case all are equal in
// the end and nothing acknowledged is lost.
func TestSimulatedDivergenceInChaos(t *testing.T) {
	var sum simStats
	for seed := *simFirst; seed < *simFirst+uint64(*simSeeds); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := runCorrupted(t, seed, true, (*simulation).anyNode)
			t.Logf("%+v", s.stats)
			sum.quarantines += s.stats.quarantines
			sum.repairs += s.stats.repairs
		})
	}
	if !t.Failed() && (sum.quarantines == 0 || sum.repairs == 0) {
		t.Fatalf("covered too little: %+v", sum)
	}
}

// ask submits a write at every node and returns the outcomes.
func (s *simulation) ask() (outcomes []simOutcome) {
	for _, n := range s.nodes {
		c := &simClient{s: s, node: n, told: func(o simOutcome, _ *item.Result) { outcomes = append(outcomes, o) }}
		n.observe()
		c.submit(engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
		n.ready()
	}
	s.runUntil(s.now + 500*time.Millisecond)
	return outcomes
}

// TestSimulatedNoMajority corrupts two nodes of three, each in its own way:
// nobody can tell who is right, and all refuse writes and still answer reads. A
// node that is started again comes back with the state that its log makes, so
// that there is a majority: the other one is repaired, and all take writes.
func TestSimulatedNoMajority(t *testing.T) {
	for seed := *simFirst; seed < *simFirst+uint64(*simSeeds); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := newSimulation(t, seed, 3)
			s.setUp()
			for i, n := range s.nodes[1:] {
				n.corrupt(fmt.Sprint(i))
			}
			for range simDigestEvery { // more than states are compared after
				s.ask()
			}
			for _, n := range s.nodes {
				if v := n.core.Status().Verdict; v != VerdictNoMajority {
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
}

// readEverywhere reads at every node and insists on an answer.
func (s *simulation) readEverywhere() {
	answered := 0
	for _, n := range s.nodes {
		n.observe()
		n.readers = append(n.readers, &simClient{s: s, node: n, toldRead: func(ok bool) {
			if ok {
				answered++
			}
		}})
		n.core.Read(0, 1)
		n.ready()
	}
	s.runUntil(s.now + 500*time.Millisecond)
	if answered != len(s.nodes) {
		s.t.Fatalf("%d of %d reads were answered", answered, len(s.nodes))
	}
}

// TestQuarantinedLogCounts: of three nodes, one is down, one was cut off, and
// only the one in quarantine has all that was acknowledged. Nobody else can win
// an election: it stands after all, brings the other one up to date, hands
// leadership on, and gets its state back.
func TestQuarantinedLogCounts(t *testing.T) {
	s := newSimulation(t, 1, 3)
	s.setUp()
	leader := s.leader()
	q, g := s.nodes[(leader.id+1)%3], s.nodes[(leader.id+2)%3]
	for _, n := range []*simNode{leader, q} {
		s.cut[[2]int{n.id, g.id}], s.cut[[2]int{g.id, n.id}] = true, true
	}
	acked := false
	c := &simClient{s: s, node: leader, told: func(o simOutcome, _ *item.Result) { acked = o == simAnswered }}
	leader.observe()
	c.submit(engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
	leader.ready()
	s.runUntil(s.now + 100*time.Millisecond)
	if !acked {
		t.Fatal("a majority does not acknowledge")
	}
	q.core.shutAway(0, []uint64{uint64(g.id + 1)})
	q.ready()
	s.runUntil(s.now + 50*time.Millisecond)
	leader.crash()
	s.cut = map[[2]int]bool{}
	s.runUntil(s.now + campaignPatience*simElectionTicks*simTick/2)
	if s.leader() != nil || q.core.Status().Verdict != VerdictRepairing {
		t.Fatalf("node %d leads at once", s.leader().id)
	}
	s.runUntil(s.now + 10*time.Second)
	for _, n := range []*simNode{q, g} {
		if _, found := n.engine.NewReader().View(nil, []byte("k"), func(dst, _ []byte, _ engine.Item) []byte { return dst }); !found {
			t.Fatalf("node %d has lost what was acknowledged", n.id)
		}
	}
	if s.leader() != g || q.core.Status().Verdict != VerdictOK {
		t.Fatalf("node %d is %v and %v", q.id, q.core.state, q.core.Status().Verdict)
	}
}
