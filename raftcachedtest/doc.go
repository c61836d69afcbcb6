// Package raftcachedtest runs clusters of raftcached in the process of a test:
// real nodes, which replicate over TCP on this machine and serve any memcached
// client, with their files in memory.
//
//	c := raftcachedtest.Start(t, 3)
//	client := memcache.New(c.Addrs()...)
//	leader, err := c.Leader(t.Context())
//	err = c.Stop(leader)
//
// Read first: Start, or New without a test; then Cluster.
//
// The nodes of a cluster live at a loopback address of their own, so that clusters
// do not get into each other's way, and a node that is started again has the ports
// that it had.
package raftcachedtest
