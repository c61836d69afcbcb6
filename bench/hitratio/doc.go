// Package hitratio measures how often caches miss: memcached, a raftcached
// cluster, simulated replicas of its engine, the ideal LRU and the offline
// optimum, all on exactly the same requests and with the same bytes.
//
// Read first: Trace, Cache, Measure; then Servers, Replicas, LRU, Optimum and
// Table. The program is bench/cmd/hitratio.
//
// The workload is look-aside: a client gets a key, and sets it after a miss. Requests
// are sent in rounds of Nodes batches. All batches of a round are sent before any reply
// is read, batch i to node i of a cluster. After all replies, the missed keys are set
// at the node that missed them. The next round begins when these sets are
// acknowledged. So a key that occurs twice in a round may miss twice. This is the same
// for every Cache; they only differ in what they keep. Only the optimum sets each key
// immediately.
//
// Nothing here is safe for concurrent use. The nodes still work in parallel, because
// a round is written to all of them before their replies are read. Traces and
// simulations depend only on their seeds. memcached and the cluster move items and
// hints in the background, depending on the clock, so their misses differ a little
// between runs.
package hitratio
