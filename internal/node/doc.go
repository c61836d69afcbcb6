// Package node assembles a node from the packages that do the work: the engine,
// the replica with its log and snapshots, the connections to peers, and the
// server for clients. Package raftcached is its face.
//
// Read first: Config and Open; Node; then loopBackend, which joins a loop to the
// engine and the replica; Client, the loop without connections.
//
// The methods of a Node, and Write and Read of its Client, may be called from any
// goroutine. A loopBackend belongs to the goroutine of its loop.
package node
