//go:build race

package replication

// A simulation has one goroutine, so that the race detector finds nothing in it, and
// it takes ten times as long: few are run.
const (
	simSeedsDefault = 1
	simHarmsDefault = 3
	simBugsDefault  = 1
)
