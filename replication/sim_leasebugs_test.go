package replication

import (
	"flag"
	"testing"
	"time"
)

// simAttacks is how often a cluster is attacked, one time after the other.
const simAttacks = 4

// runAttacks attacks a cluster in which nothing else goes wrong.
func runAttacks(s *simulation, attack func(*simTrouble)) {
	r := s.troubleReaders(12, 10)
	for range simAttacks {
		attack(s.trouble)
		s.runUntil(s.now + 600*time.Millisecond)
	}
	r.stopped = true
}

// simLeaseBugSeeds is how many seeds a built-in bug of leases may hide from. Most are
// found soon.
const simLeaseBugSeeds = 400

var simLeaseBugs = flag.Int("sim.leasebugs", simLeaseBugSeeds, "seeds that each built-in bug of leases may hide from")

// TestSeededBugsOfLeases breaks on purpose what leases rest on, one thing after the other,
// clocks included. The simulation finds each, and TestSimulatedReads nothing if nothing
// is broken.
func TestSeededBugsOfLeases(t *testing.T) {
	needSeeds(t)
	for _, c := range []struct {
		name             string
		bugs             bugs
		bound            float64 // of clocks
		voters, learners int
		attack           func(*simTrouble)
	}{
		{"clocks of rates that are too different", 0, 3, 3, 0, (*simTrouble).depose},
		{"clock read before inputs", bugClockFirst, simClockBound, 3, 0, (*simTrouble).stallSupport},
		{"vote within a promise of before a start", bugStartUnbound, simClockBound, 3, 0, (*simTrouble).depose},
		{"lease kept over a transfer", bugLeaseOverTransfer, simClockBound, 3, 0, (*simTrouble).holdTransfer},
		{"lease kept into a term", bugLeaseIntoTerm, simClockBound, 3, 0, (*simTrouble).depose},
		{"learners support the leader's lease", bugLearnerSupports, simClockBound, 3, 2, (*simTrouble).depose},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := *simFirst; seed < *simFirst+uint64(*simLeaseBugs); seed++ {
				found := ""
				t.Run("", func(t *testing.T) {
					found = simulate(func() {
						runAttacks(newTroubled(t, seed, c.voters, c.learners, c.bound, c.bugs), c.attack)
					})
				})
				if found != "" {
					t.Logf("found with seed %d: %.300s", seed, found)
					return
				}
			}
			t.Errorf("not found within %d seeds", *simLeaseBugs)
		})
	}
}
