//go:build !raftcached_next

package replication

// ClusterVersionKnown is the highest cluster version that this program knows.
const ClusterVersionKnown = 1
