// Package raftcached is the assembled node: a memcached-protocol server whose
// contents are replicated by raft.
//
// Read first: Config, which says what a node needs to know; ReadCluster, which
// makes one from a server.json; Open, which starts a Node.
//
// A program embeds a node with Open(Config{...}) and Close. A Config is a plain
// value and may be copied; Complete fills its defaults in and is the one place
// that refuses a configuration. A Node's methods may be called from any
// goroutine.
package raftcached
