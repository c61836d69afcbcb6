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

	// Members returns the servers of the cluster, and a number above 0 that grows
	// when they change. A single server is reached at local, the address that the
	// client has connected to. Any goroutine may call it.
	Members(local string) (version uint64, members []Member)
}

// Found is the outcome of Loop.Get and Loop.Look.
type Found uint8

// The outcomes of Loop.Get and Loop.Look.
const (
	Miss       Found = iota // there is no such item
	Hit                     // there is
	NeedsWrite              // the item would change: the request has to be written
	UnderWay                // the item is changing, or may have expired: Loop.Await
)

// Grant is the outcome of Loop.Barrier.
type Grant uint8

// The outcomes of Loop.Barrier.
const (
	GrantLater   Grant = iota // Completer.BarriersDone answers
	GrantAll                  // all is visible
	GrantChanges              // all is visible or under way: reads heed changes
)

// Heed is what reads heed. The zero value is nothing: all is visible.
type Heed struct {
	Changes bool   // items that are changing: their reads wait
	UpTo    uint64 // what the backend has put here in Await, for a read that has waited
	Timed   bool   // so has it this: the read does not wait for time to pass any more
}

// Loop is the part of the backend that serves one event loop. All its methods
// are called on that loop's goroutine and never block.
type Loop interface {
	// Barrier asks that everything acknowledged on any server before this call is
	// visible to Get and Look. If that is neither so already, nor under way,
	// Completer.BarriersDone answers later, in the order of these calls.
	Barrier() Grant

	// Grants reports whether Barrier would be granted at once. It asks for nothing.
	Grants() bool

	// BarrierOfAll is Barrier, but never GrantChanges.
	BarrierOfAll() Grant

	// List appends what the dump of command c tells of at most limit items, and
	// returns where the next call goes on, how many these were, and whether there are
	// more. The first call begins at 0. The work of a call is bounded. An item that is
	// there from the first call to the last is told of exactly once.
	List(dst []byte, c protocol.Command, at uint64, limit int) (out []byte, next uint64, told int, more bool)

	// Prepare announces the keys of the next reads, so that the backend can fetch
	// what it needs for all of them at once. It may do nothing.
	Prepare(keys [][]byte)

	// Get appends the "VALUE ..." block of key to dst, with the cas unique if
	// withCAS, if the key is found; else it appends nothing.
	Get(dst, key []byte, withCAS bool, h Heed) ([]byte, Found)

	// Look answers a MetaGet or MetaDebug: it appends the reply to dst, in the
	// request's form. If it returns NeedsWrite or UnderWay it has appended nothing. One
	// that NeedsWrite has to be passed to Write.
	Look(dst []byte, req *protocol.Request, h Heed) ([]byte, Found)

	// Absent reports whether a read of key would be a Miss. It is no access. Without a
	// barrier that covers the read it is a guess. It may always report false.
	Absent(key []byte, h Heed) bool

	// Await waits for the changes of keys, of which the first was UnderWay, or until it is
	// known whether that has expired. If it reports true, Completer.Awaited answers the waiter. Then these keys are read again
	// with the Heed that it has returned, and only with that: changes that come
	// later are not waited for.
	Await(keys [][]byte, h Heed, waiter any) (Heed, bool)

	// Write adds a request for which Command.IsWrite holds, or a MetaGet that
	// NeedsWrite, to the loop's current sub-batch. It copies what it needs. It returns
	// how many operations of the request were accepted: there is one, or that on Key; of
	// gat and gats one for each of Keys, and the first ones may be accepted alone. 0
	// means that too much is in flight: the caller keeps the request and tries again
	// after the next Completer.ResultsEnd. A set that is TooLarge has no value, and only
	// removes the old item.
	//
	// valueBytes is about how many bytes of values the answers will have.
	//
	// Each operation that was accepted is answered by one Completer.WriteDone, in the
	// order of the writes, and of the keys.
	Write(req *protocol.Request) (accepted, valueBytes int)

	// ReadBehind has keys read, without a barrier: behind all that Write has accepted, and
	// before what it accepts later. It is for reads among writes. It takes all keys or none.
	// It copies what it needs. valueBytes is as of Write. Each key is answered by one
	// Completer.WriteDone, with StatusHit or StatusMiss, or with why it was not read, in the order of Write.
	ReadBehind(keys [][]byte) (valueBytes int, ok bool)

	// Flush submits what Write and Barrier have gathered. It is called once at the
	// end of each turn of the loop in which a Write or ReadBehind was accepted or a
	// Barrier was not granted at once.
	Flush()
}

// Completer takes the backend's answers for one event loop. Any goroutine may call
// Post. The other methods may be called on the loop's goroutine only, by a function
// that was posted.
type Completer interface {
	// Post runs f on the loop's goroutine, after the current events. Functions run
	// in the order in which they were posted. After the server has closed they are
	// dropped.
	Post(f func())

	// WriteDone answers the oldest unanswered operation of the loop. The result
	// is borrowed for the call.
	WriteDone(r *protocol.Result)

	// Awaited answers a Loop.Await. Unless ok is set, the waiter asks for a barrier again.
	Awaited(waiter any, ok bool)

	// BarriersDone answers the n oldest unanswered barriers of the loop: with
	// StatusOK, or with an error, which is then the answer to their reads.
	BarriersDone(n int, s protocol.Status)

	// ResultsEnd ends a series of the calls above: the replies are sent, with one write for each connection, and waiting requests continue.
	ResultsEnd()
}
