package replication

import (
	"flag"
	"regexp"
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

// leaseViolation is how the simulation tells of a lease or a read that is wrong, or kept in
// vain. Nothing else counts as having found a bug of leases.
var leaseViolation = regexp.MustCompile(`node \d+ (has a lease of term|shows|keeps reads) `)

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
		first            uint64 // seed: it finds the fault, as long as the code is the same
	}{
		{"clocks of rates that are too different", 0, 3, 3, 0, (*simTrouble).depose, 1},
		{"clock read before inputs", bugClockFirst, simClockBound, 3, 0, (*simTrouble).stallSupport, 27},
		{"vote within a promise of before a start", bugStartUnbound, simClockBound, 3, 0, (*simTrouble).depose, 9},
		{"lease kept over a transfer", bugLeaseOverTransfer, simClockBound, 3, 0, (*simTrouble).holdTransfer, 2},
		{"lease kept into a term", bugLeaseIntoTerm, simClockBound, 3, 0, (*simTrouble).depose, 111},
		{"leader bound by no promise", bugLeaderUnbound, simClockBound, 3, 2, (*simTrouble).stepDown, 1},
		{"grant longer than the leader's lease", bugGrantUnbounded, simClockBound, 3, 2, (*simTrouble).depose, 7},
		{"goal is the commit index", bugGoalIsCommit, simClockBound, 4, 1, (*simTrouble).shrink, 100},
		{"goal ignored", bugGoalIgnored, simClockBound, 3, 1, (*simTrouble).starve, 1},
		{"end of the log for what has matched", bugLastIsMatched, simClockBound, 3, 0, (*simTrouble).confuse, 387},
		{"grant to an earlier process", bugBootIgnored, simClockBound, 3, 1, (*simTrouble).reboot, 5},
		{"seen when it is sent", bugSeenWhenSent, simClockBound, 3, 1, (*simTrouble).starve, 1},
		{"own acknowledgement uncapped", bugOwnUncapped, simClockBound, 1, 2, (*simTrouble).starve, 1},
		{"applied before it can be seen", bugAppliedEarly, simClockBound, 3, 1, (*simTrouble).lag, 1},
		{"what came before the lease is forgotten", bugBeforeLeaseForgotten, simClockBound, 3, 1, (*simTrouble).lag, 3},
		{"expiry by what is applied", bugDueIgnored, simClockBound, 3, 1, (*simTrouble).lag, 10},
		{"expiry by a reader's own clock", bugGuessJudges, simClockBound, 3, 1, (*simTrouble).lag, 1},
		{"flush_all marks no key", bugFlushUnmarked, simClockBound, 3, 1, (*simTrouble).lag, 3},
		{"promises begin with the switch", bugPromiseWhenSwitched, simClockBound, 3, 0, (*simTrouble).switchOn, 14},
		{"holders are forgotten with the switch", bugHoldersForgotten, simClockBound, 3, 1, (*simTrouble).switchOff, 1},
		{"known is what a leader has applied", bugKnownIsApplied, simClockBound, 3, 1, (*simTrouble).lag, 1},
		{"known is what a new leader has heard of", bugKnownOfOthers, simClockBound, 3, 0, (*simTrouble).inherit, 6},
		{"known is what a holder has heard of", bugKnownByHolder, simClockBound, 3, 1, (*simTrouble).lag, 1},
		{"learners support the leader's lease", bugLearnerSupports, simClockBound, 3, 2, (*simTrouble).depose, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustFindBug(t, c.first, func(t *testing.T, seed uint64) {
				runAttacks(newTroubled(t, seed, c.voters, c.learners, LeasesAll, c.bound, simLogRetainBytes, c.bugs), c.attack)
			})
		})
	}
}

// mustFindBug runs seeds until a lease or a read is found to be wrong.
func mustFindBug(t *testing.T, first uint64, run func(t *testing.T, seed uint64)) {
	for seed := first; seed < first+uint64(*simLeaseBugs); seed++ {
		found := ""
		t.Run("", func(t *testing.T) {
			found = simulate(func() { run(t, seed) })
		})
		if found != "" && !leaseViolation.MatchString(found) {
			t.Fatalf("seed %d fails for another reason: %s", seed, found)
		}
		if found != "" {
			t.Logf("found with seed %d: %.300s", seed, found)
			return
		}
	}
	t.Errorf("not found within %d seeds", *simLeaseBugs)
}

// TestSeededBugsOfReads breaks on purpose how reads are confirmed where there are no
// leases. Nothing is found where nothing is broken.
func TestSeededBugsOfReads(t *testing.T) {
	needSeeds(t)
	run := func(t *testing.T, seed uint64, voters int, bugs bugs) {
		runAttacks(newTroubled(t, seed, voters, 0, LeasesOff, simClockBound, simLogRetainBytes, bugs), (*simTrouble).answerLate)
	}
	for _, c := range []struct {
		name   string
		bugs   bugs
		voters int
		first  uint64 // seed: it finds the fault, as long as the code is the same
	}{
		{"read joins a round that had begun before it came", bugReadJoinsRound, 3, 1},
		{"request of a peer confirms all reads", bugRequestConfirmsAll, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustFindNothing(t, c.first, func() { run(t, c.first, c.voters, 0) })
			mustFindBug(t, c.first, func(t *testing.T, seed uint64) { run(t, seed, c.voters, c.bugs) })
		})
	}
}
