//go:build !race

package replication

const (
	// simSeedsDefault is how many seeds a simulation runs unless -sim.seeds says
	// otherwise.
	simSeedsDefault = 3

	// simHarmsDefault is few: a thousand take half a minute.
	simHarmsDefault = 50

	// simBugsDefault is how many of the built-in bugs TestSeededBugs looks for: all.
	simBugsDefault = 1000
)
