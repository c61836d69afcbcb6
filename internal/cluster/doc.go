// Package cluster runs real servers for tests and measurements: it builds the
// raftcached program, starts it as processes on loopback addresses of their own,
// kills, pauses and restarts them, cuts the links between them, and queries their
// state. It sees the servers only from outside, as an operator does.
//
// Read first: Build, Start, Cluster, Server; network for partitions.
//
// A Cluster's methods may be called from several goroutines, but one server is
// started, killed and restarted from one goroutine at a time. Every process ends
// with the program that started it, even if that program is killed.
package cluster
