// Package node assembles a node from the packages that do the work: the engine,
// the replica with its log and snapshots, the connections to peers, and the
// server for clients. Package raftcached is its face.
//
// Read first: Config and Open; Node; then loopBackend, which joins an event loop
// to the engine and the replica.
//
// A Node's methods may be called from any goroutine. A loopBackend belongs to
// the goroutine of its event loop.
package node
