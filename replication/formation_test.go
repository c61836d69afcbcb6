package replication

import (
	"strconv"
	"testing"
	"time"
)

// TestTheLogBeginsWithTheFormation breaks clusters from their first moment,
// while clients write. simMachine insists that the formation is the first entry
// with data. In some of these histories a leader had proposed it and was gone
// before its successor had applied it, which proposed it as well.
func TestTheLogBeginsWithTheFormation(t *testing.T) {
	needSeeds(t)
	seeds := 4 * *simSeeds
	again := 0
	for seed := *simFirst; seed < *simFirst+uint64(seeds); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := newSimulation(t, seed, 3, 0)
			mustFindNothing(t, seed, func() {
				s.flooding(3*time.Second, 5*time.Millisecond)
				s.hinting()
				s.crashFirstLeader()
				s.chaos(3 * time.Second)
				s.runUntil(3 * time.Second)
				s.settle()
			})
			for _, n := range s.nodes {
				if n.state.Formation() != nil {
					t.Fatalf("node %d was never formed", n.id)
				}
			}
			if s.nodes[0].state.formations > 1 {
				again++
			}
		})
	}
	if again == 0 && *simSeeds >= simSeedsCovering {
		t.Errorf("none of %d histories has a second formation: nothing shows that it is harmless", seeds)
	}
}

// crashFirstLeader ends the first leader within a few milliseconds: what it has
// proposed has reached nobody, or others who do not know that it is committed.
func (s *simulation) crashFirstLeader() {
	s.after(time.Millisecond, func() {
		for _, n := range s.nodes {
			if n.up && n.machine.core.leads() {
				s.after(time.Duration(s.rng.IntN(6000))*time.Microsecond, n.inLife(func() {
					n.crash()
					s.after(500*time.Millisecond, n.start)
				}))
				return
			}
		}
		s.crashFirstLeader()
	})
}
