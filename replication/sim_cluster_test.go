package replication

import (
	"flag"
	"strconv"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

var (
	simSeeds = flag.Int("sim.seeds", simSeedsDefault, "seeds that the cluster simulation runs")
	simFirst = flag.Uint64("sim.first", 1, "first seed of the cluster simulation")
)

// simSeedsCovering is how many seeds must cover, between them, what a test is
// about.
const simSeedsCovering = 6

// chaos schedules faults until the given time: crashes, pauses, partitions and
// loss come and go.
func (s *simulation) chaos(until time.Duration) {
	s.after(time.Duration(100+s.rng.IntN(700))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		s.fault()
		s.chaos(until)
	})
}

func (s *simulation) fault() {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch s.rng.IntN(10) {
	case 0, 1:
		if n.up {
			n.crash()
			s.after(time.Duration(10+s.rng.IntN(3000))*time.Millisecond, n.start)
		}
	case 2: // everybody at once
		for _, n := range s.nodes {
			if n.up {
				n.crash()
				s.after(time.Duration(10+s.rng.IntN(500))*time.Millisecond, n.start)
			}
		}
	case 3:
		if n.up && !n.paused {
			n.pause(time.Duration(10+s.rng.IntN(1500)) * time.Millisecond)
		}
	case 4, 5:
		s.partition(n)
	case 6:
		s.cut = map[[2]int]bool{}
	case 7:
		s.dropPermille = []int{0, 0, 20, 200}[s.rng.IntN(4)]
	case 8: // the system lets a goroutine wait
		if n.up {
			a := []*simActor{&n.core, &n.append, &n.apply, &n.disk}[s.rng.IntN(4)]
			a.heldUp = true
			s.after(time.Duration(s.rng.IntN(500))*time.Millisecond, n.inLife(a.goOn))
		}
	case 9: // a write or a sync fails, and all after it
		if n.up {
			s.stats.diskFaults++
			n.fs.FailIn = 1 + s.rng.IntN(30)
		}
	}
}

// hinting makes every node hint at random items, now and then, and connects its
// stream to the leader anew.
func (s *simulation) hinting() {
	s.after(s.delay(10*time.Millisecond), func() {
		if s.model.stopped {
			return
		}
		n := s.nodes[s.rng.IntN(len(s.nodes))]
		if n.up && !n.paused {
			hints := make([]byte, hintBytes*(1+s.rng.IntN(20)))
			for i := range hints {
				hints[i] = byte(s.rng.Uint32())
			}
			n.hint(hints)
			if s.rng.IntN(20) == 0 { // a stream was connected anew
				n.put(input{kind: inputInterrupted, peer: n.machine.core.leader})
			}
		}
		s.hinting()
	})
}

// hint hands hints over to a node.
func (n *simNode) hint(hints []byte) { n.put(input{kind: inputHint, bytes: hints}) }

// partition cuts a node off, in one direction or both.
func (s *simulation) partition(n *simNode) {
	s.stats.partitions++
	how := s.rng.IntN(3)
	s.note("partition %d %d", n.id, how)
	for _, m := range s.nodes {
		if m != n {
			s.cut[[2]int{n.id, m.id}] = how != 0
			s.cut[[2]int{m.id, n.id}] = how != 1
		}
	}
}

// setUp creates the lists, before anything goes wrong.
func (s *simulation) setUp() {
	s.runUntil(2 * time.Second)
	for _, list := range simListKeys {
		c := &simClient{s: s, node: s.nodes[0], told: func(simOutcome, *item.Result) {}}
		c.submit(engine.Op{Kind: engine.OpAdd, Key: []byte(list)})
	}
	s.runUntil(3 * time.Second)
	for _, n := range s.nodes {
		if n.engine.Stats().CurrItems != int64(len(simListKeys)) {
			s.failf("node %d has no lists after three seconds of peace", n.id)
		}
	}
}

// settle ends all faults and lets the cluster come to rest.
func (s *simulation) settle() {
	s.cut = map[[2]int]bool{}
	s.dropPermille = 0
	s.model.stopped = true
	for _, n := range s.nodes {
		n.fs.FailIn = 0
		if n.up && n.fs.Failed() {
			n.crash()
			n.start()
		}
	}
	s.runUntil(s.now + 10*time.Second)
	s.check.settled()
	index, digest := s.nodes[0].machine.applier.Digest()
	for _, n := range s.nodes {
		if i, d := n.machine.applier.Digest(); !n.up || i != index || d != digest {
			s.failf("node %d (up: %v, %v) is at index %d with digest %x, node 0 at %d with %x, ten seconds after the last fault",
				n.id, n.up, n.machine.core.Status().Verdict, i, d, index, digest)
		}
		s.model.checkFinal(n)
	}
	s.stats.hinted = s.nodes[0].state.hints
}

// runSimulation runs one seed of a cluster in chaos, with everything checked.
func runSimulation(s *simulation, length time.Duration) {
	s.setUp()
	s.addClients(6)
	s.hinting()
	s.chaos(s.now + length)
	s.runUntil(s.now + length)
	s.settle()
}

// eachSeed runs a test of each seed that the flags name.
func eachSeed(t *testing.T, prefix string, nodes int, run func(t *testing.T, s *simulation)) {
	t.Helper()
	needSeeds(t)
	for seed := *simFirst; seed < *simFirst+uint64(*simSeeds); seed++ {
		t.Run(prefix+strconv.FormatUint(seed, 10), func(t *testing.T) {
			mustFindNothing(t, seed, func() { run(t, newSimulation(t, seed, nodes, 0)) })
		})
	}
}

// needSeeds skips a test of no seeds.
func needSeeds(t *testing.T) {
	t.Helper()
	if *simSeeds == 0 {
		t.Skip("a simulation has one goroutine: the race detector is not needed, unless -sim.seeds says so")
	}
}

// TestSimulatedCluster runs clusters through crashes that tear what was not
// synced, failing disks, pauses, partitions and loss. Nothing acknowledged is
// lost, nothing applied twice, nothing refused appears, reads are linearizable,
// the log begins with the formation, nodes agree at every index, on hints too, and
// the invariants of simChecker hold throughout.
func TestSimulatedCluster(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		runSimulation(s, 20*time.Second)
		t.Logf("%+v", s.stats)
		if s.stats.acked < 100 || s.stats.crashes == 0 || s.stats.reads == 0 || s.stats.hinted == 0 || s.stats.snapshots == 0 {
			t.Fatalf("covered too little: %+v", s.stats)
		}
	})
}

// TestSimulatedLoneNode runs a cluster of one through the same.
func TestSimulatedLoneNode(t *testing.T) {
	eachSeed(t, "", 1, func(t *testing.T, s *simulation) {
		runSimulation(s, 20*time.Second)
		t.Logf("%+v", s.stats)
	})
}

// TestSimulatedSnapshots runs clusters in which one node after the other falls
// behind by more than the log reaches back.
func TestSimulatedSnapshots(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.lag()
		t.Logf("%+v", s.stats)
		if s.stats.snapshotsInstalled == 0 || s.stats.heldBack == 0 {
			t.Fatalf("covered too little: %+v", s.stats)
		}
	})
}

// TestSimulationReplays runs a seed twice: every event must be the same.
func TestSimulationReplays(t *testing.T) {
	var traces [2]uint64
	for i := range traces {
		t.Run("", func(t *testing.T) {
			s := newSimulation(t, 42, 3, 0)
			s.trace = &traces[i]
			mustFindNothing(t, 42, func() { runSimulation(s, 5*time.Second) })
		})
	}
	if traces[0] != traces[1] {
		t.Fatalf("two runs of one seed have traces %x and %x", traces[0], traces[1])
	}
}
