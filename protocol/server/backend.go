package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// Backend is the node behind the event loops.
type Backend interface {
	// NewLoop returns the backend of the event loop numbered id (0, 1, ...). It
	// is called once for each loop, before the loop serves.
	NewLoop(id int, c Completer) Loop

	// State returns what stats reports of the cache. Any goroutine may call it.
	State() stats.State

	// Stats returns the answer to a "stats ARG" that is not memcached's. It
	// reports false if it knows no such ARG. Any goroutine may call it; it must
	// not block for longer than one entry takes to apply.
	Stats(arg string) (protocol.StatList, bool)

	// Members returns the servers of the cluster and a number above 0 that grows
	// when they change. A server alone is reached at local, the address that the
	// client who asks has connected to. Any goroutine may call it.
	Members(local string) (version uint64, members []Member)
}

// Found is what Loop.Look met.
type Found uint8

// What Loop.Look meets.
const (
	Miss Found = iota
	Hit
	NeedsWrite
)

// Loop is the part of the backend that serves one event loop. All its methods
// are called on that loop's goroutine and never block.
type Loop interface {
	// Barrier asks that everything acknowledged anywhere before this call is
	// visible to Get. True means that it already is. False means that
	// Completer.BarriersDone will answer it later; barriers are answered in the
	// order in which they were asked.
	Barrier() bool

	// Prepare tells which keys Get will soon be called for, so that it can fetch
	// what it needs for all of them at once. It may do nothing.
	Prepare(keys [][]byte)

	// Get appends the "VALUE ..." block of key to dst, with the cas unique if
	// withCAS, and reports whether the key was found; a miss appends nothing.
	Get(dst, key []byte, withCAS bool) ([]byte, bool)

	// Look answers a MetaGet or MetaDebug: it appends its reply to dst, in the
	// request's form, and tells what it met. With NeedsWrite it has appended
	// nothing: the item would change, and the request is to be given to Write.
	Look(dst []byte, req *protocol.Request) ([]byte, Found)

	// Write adds a request for which Command.IsWrite holds to the loop's forming
	// sub-batch, copying what it needs of it. It reports false, and takes
	// nothing, when too much is in flight already: the caller keeps the request
	// and tries again after the next Completer.ResultsEnd. A set that is TooLarge
	// comes without a value, and only removes the old item.
	//
	// Each request that was taken is answered by one Completer.WriteDone; a gat
	// or gats by one for each of its keys, in their order. Answers come in the
	// order of the writes.
	Write(req *protocol.Request) bool

	// Flush sends on what Write and Barrier gathered. It is called once at the
	// end of each turn of the loop in which a Write was taken or a Barrier was
	// not there at once.
	Flush()
}

// Completer is how the backend hands answers back to an event loop. Post may be
// called from any goroutine; the others only on the loop's goroutine, from a
// function given to Post.
type Completer interface {
	// Post runs f on the loop's goroutine, after the events at hand. Functions
	// run in the order in which they were posted. After the server has closed
	// they are dropped.
	Post(f func())

	// WriteDone answers the oldest unanswered operation of the loop. The result
	// is borrowed for the call.
	WriteDone(r *protocol.Result)

	// BarriersDone answers the n oldest unanswered barriers of the loop with
	// StatusOK, or with the error that their reads are to be answered with.
	BarriersDone(n int, s protocol.Status)

	// ResultsEnd ends a series of WriteDone and BarriersDone calls: the replies
	// leave, one write per connection, and waiting input goes on.
	ResultsEnd()
}
