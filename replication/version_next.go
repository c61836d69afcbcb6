//go:build raftcached_next

package replication

// ClusterVersionKnown is that of the program to come, as far as there is any: it has the
// formats of this one. Tests build it, to upgrade to it.
const ClusterVersionKnown = 2
