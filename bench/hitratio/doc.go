// Package hitratio measures how often caches miss: memcached, a raftcached
// cluster, simulated replicas of its engine, the ideal LRU and the offline
// optimum, all on exactly the same requests and with the same bytes.
//
// Read first: Trace, Cache, Measure; then Servers, Replicas, LRU, Optimum and
// Table. The program is bench/cmd/hitratio.
//
// The workload is look-aside: a client gets a key, and sets it if that missed.
// Requests come in rounds of Nodes batches. Every batch of a round is sent before
// any reply is awaited, batch i to node i of a cluster, and what missed is set when
// the whole round was answered, at the node that missed it; the next round begins
// when these sets are acknowledged. A key that is asked for twice in a round may
// thus miss twice, and does so in every Cache alike, so that they differ in what
// they keep and in nothing else. Only the optimum sets each key at once.
//
// Nothing here is safe for concurrent use, and nothing needs to be: a round is
// written to all nodes before their replies are read, so they work at the same
// time. Traces and simulations depend on their seeds alone; memcached and the
// cluster move items and hints in the background, by the clock, so their misses
// differ a little from run to run.
package hitratio
