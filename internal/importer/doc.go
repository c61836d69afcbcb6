// Package importer copies everything that a running memcached holds into a cluster:
// keys, values, flags, times to live, and the mark of a stale item.
//
// Read first: Import and its Run; then list, which learns the keys, and worker,
// which copies them.
//
// The keys are listed with `lru_crawler metadump`, then each is fetched with mg and
// stored with ms, many at a time, by several workers with a connection to each side.
// An item that vanishes between the two is counted as gone. Storing is repeated
// while the cluster has no leader, or when a connection is lost: it has the same
// effect twice.
package importer
