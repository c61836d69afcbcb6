//go:build !race

package replication

// simSeedsDefault is how many seeds a simulation runs unless -sim.seeds says
// otherwise.
const simSeedsDefault = 6
