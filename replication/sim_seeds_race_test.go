//go:build race

package replication

// simSeedsDefault is small: a simulation has one goroutine, and under the race
// detector takes ten times as long.
const simSeedsDefault = 1
