// Package raftcached is a memcached-protocol server whose contents are replicated
// by raft, as a library. The programs in cmd are thin around it.
//
// Read first: Config, which says what a node needs to know; Open, which starts a
// Node; Client, which uses the cache without a socket.
//
// A configuration is written in Go, read from a server.json (ReadCluster), or from
// a command line (ParseArguments). Package raftcachedtest runs whole clusters in
// the process of a test.
//
// A Config is a plain value. The methods of a Node and of a Client may be called
// from any goroutine.
package raftcached
