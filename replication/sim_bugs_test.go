package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

// simBugSeeds is how many seeds a built-in bug may hide from.
const simBugSeeds = 12

// lag makes one node after the other fall behind by more than the log reaches
// back, while clients write at all of them, so that snapshots are installed. It is
// down meanwhile, or its applier is held up until the snapshot has come, with
// entries before it that are not applied yet.
func (s *simulation) lag() {
	s.setUp()
	s.addClients(6)
	s.flooding(s.now+6*time.Second, time.Millisecond)
	for range 8 {
		n := s.anyNode()
		if s.rng.IntN(3) == 0 {
			n.crash()
		} else {
			n.apply.heldUp = true
			s.runUntil(s.now + 10*time.Millisecond)
		}
		s.cutOff(n)
		s.runUntil(s.now + time.Duration(100+s.rng.IntN(200))*time.Millisecond)
		n.start()
		s.cut = map[[2]int]bool{}
		for end := s.now + time.Second; s.now < end && n.apply.heldUp && !n.isToInstall(); {
			s.runUntil(s.now + time.Millisecond)
		}
		n.apply.goOn()
		s.runUntil(s.now + 300*time.Millisecond)
	}
	s.settle()
}

// isToInstall reports whether a snapshot waits for the applier.
func (n *simNode) isToInstall() bool {
	return slices.ContainsFunc(n.toApply, func(in applyInput) bool { return in.kind == applyInstall })
}

// cutOff loses all messages of a node.
func (s *simulation) cutOff(n *simNode) {
	for _, m := range s.nodes {
		s.cut[[2]int{n.id, m.id}], s.cut[[2]int{m.id, n.id}] = true, true
	}
}

// flooding sets keys at some node, without waiting, until the given time.
func (s *simulation) flooding(until, gap time.Duration) {
	s.after(s.delay(gap), func() {
		if s.now >= until {
			return
		}
		if n := s.anyNode(); n.up && !n.paused {
			c := &simClient{s: s, node: n, told: func(simOutcome, *item.Result) {}}
			c.submit(engine.Op{Kind: engine.OpSet, Key: fmt.Appendf(nil, "flood-%d", s.rng.IntN(20)), Value: make([]byte, 60)})
		}
		s.flooding(until, gap)
	})
}

// divergeOften corrupts one node after the other. Snapshots are so long on their
// way that each is asked for again.
func (s *simulation) divergeOften() {
	s.slowShips = true
	s.setUp()
	s.addClients(2)
	for range 3 {
		s.anyNode().corrupt(fmt.Sprint(s.rng.IntN(1000)))
		s.runUntil(s.now + 8*time.Second)
	}
	s.settle()
}

// twoDiverge puts two nodes of five in quarantine, starts one of them again, so
// that it asks everybody, and lets it reach only the other one at first.
func (s *simulation) twoDiverge() {
	s.setUp()
	s.addClients(6)
	other, asker := s.nodes[0], s.nodes[1]
	s.runUntil(s.now + time.Duration(s.rng.IntN(1000))*time.Millisecond)
	for _, n := range []*simNode{other, asker} {
		n.corrupt("x")
	}
	inQuarantine := func(n *simNode) bool { return n.machine.applier.frozen != nil }
	for end := s.now + 5*time.Second; s.now < end && (!inQuarantine(other) || !inQuarantine(asker)); {
		s.runUntil(s.now + time.Millisecond)
	}
	s.cutOff(other)
	asker.crash()
	delete(s.cut, [2]int{asker.id, other.id})
	delete(s.cut, [2]int{other.id, asker.id})
	asker.start()
	s.runUntil(s.now + time.Second)
	s.cut = map[[2]int]bool{}
	s.runUntil(s.now + 3*time.Second)
	s.settle()
}

// simScenario is what a built-in bug is looked for in.
type simScenario struct {
	nodes int
	run   func(*simulation)
	first uint64          // seed that bugs are looked for with; 0: 1
	sound map[uint64]bool // seeds in which nothing is found without a bug
}

func newScenario(nodes int, run func(*simulation)) *simScenario {
	return &simScenario{nodes: nodes, run: run, sound: map[uint64]bool{}}
}

// find runs a seed with bugs and returns what is found.
func (c *simScenario) find(t *testing.T, seed uint64, bugs bugs) (found string) {
	t.Run(fmt.Sprintf("seed %d bugs %b", seed, bugs), func(t *testing.T) {
		s := newSimulation(t, seed, c.nodes, bugs)
		found = simulate(func() { c.run(s) })
		t.Logf("%+v", s.stats)
	})
	return found
}

// seededBug is a built-in bug, and where it is looked for.
type seededBug struct {
	name     string
	bugs     bugs
	scenario *simScenario
}

// mustBeFound looks for it with as many seeds, with which nothing is found without it.
func (c *seededBug) mustBeFound(t *testing.T, seeds uint64) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		first := max(1, c.scenario.first)
		for seed := first; seed < first+seeds; seed++ {
			if !c.scenario.sound[seed] {
				if found := c.scenario.find(t, seed, 0); found != "" {
					t.Fatalf("seed %d, with nothing broken: %s", seed, found)
				}
				c.scenario.sound[seed] = true
			}
			if found := c.scenario.find(t, seed, c.bugs); found != "" {
				t.Logf("found with seed %d: %.300s", seed, found)
				return
			}
		}
		t.Fatalf("not found within %d seeds", seeds)
	})
}

// TestSeededBugs breaks on purpose what Replica and its parts decide, one thing
// after the other. The simulation finds each within a few seeds, and finds nothing
// on the same seeds if nothing is broken.
func TestSeededBugs(t *testing.T) {
	lag, lagLater := newScenario(3, (*simulation).lag), newScenario(3, (*simulation).lag)
	lagLater.first = 13
	removal := newScenario(4, (*simulation).removeAndLose)
	members := newScenario(3, func(s *simulation) { runMembers(s, 15*time.Second) })
	upgrade := newScenario(3, (*simulation).upgradeOneByOne)
	upgrade.first = 2
	for i, c := range []seededBug{
		{"early log cut", bugEarlyCut, lag},
		{"snapshot part order", bugPartOrder, lag},
		{"install before sync", bugInstallBeforeSync, lag},
		{"acknowledged before sync", bugAckBeforeSync, lag},
		{"answers after install", bugAnswersAfterInstall, lagLater},
		{"promoted before it has caught up", bugPromotedEarly, members},
		{"retired folder heard", bugRetiredHeard, members},
		{"raft id used again", bugRaftIDReused, members},
		{"change of members applied late", bugChangeLate, members},
		{"members not in the snapshot", bugMembersForgotten, members},
		{"change made twice", bugMadeTwice, newScenario(3, (*simulation).askAgain)},
		{"told before it is settled", bugToldEarly, removal},
		{"removed server keeps to itself what is committed", bugCommitKept, removal},
		{"asker told before it is settled", bugOutcomeEarly, members},
		{"joins refused by older members", bugJoinsUnconfirmed, newScenario(3, (*simulation).askWhileMembersChange)},
		{"double ship", bugDoubleShip, newScenario(3, (*simulation).divergeOften)},
		{"stands with a stalled disk", bugStalledCampaign, newScenario(3, (*simulation).stalledLeaders)},
		{"cluster version raised for the voters", bugVersionOfVoters, upgrade},
		{"cluster version raised by what was told long ago", bugVersionKept, upgrade},
		{"cluster version not in the snapshot", bugVersionForgotten, upgrade},
		{"repair served from quarantine", bugServeInQuarantine, newScenario(5, (*simulation).twoDiverge)},
	} {
		if i == simBugsDefault {
			break
		}
		c.mustBeFound(t, simBugSeeds)
	}
}
