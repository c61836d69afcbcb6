//go:build race

package replication

// A simulation has one goroutine, so that the race detector finds nothing in it, and
// it takes ten times as long: TestSimulationReplays alone is run, and few others.
const (
	simSeedsDefault = 0
	simHarmsDefault = 3
	simBugsDefault  = 1
)
