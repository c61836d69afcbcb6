// Package server serves memcached's protocols on the connections of package
// eventloop, and keeps the answers of each connection in the order of its
// requests. What the requests mean is up to its Backend.
//
// Read first: Backend, Loop and Completer (the interfaces to the node); conn (one
// connection, from bytes to answers) with its states in state.go; execute.go (what
// a request has to wait for); then loop (what the connections of one event loop
// share). Start runs a server.
//
// The backend gets a protocol.Request, whose slices alias the connection's input
// and are valid during the call only. It answers with a protocol.Result, which is
// borrowed during the call. Replies are bytes in a buffer of the loop.
//
// # Order
//
// The requests of a connection are executed in such an order that the answers need
// no reordering:
//
//	request            is executed when                  and answered
//	write (IsWrite)    all earlier reads are answered    by WriteDone
//	gat, gats, mg      like a write; with nothing        by WriteDone; at once for
//	with T, Binary's   unanswered before it, and a key   keys that are missing
//	gat                that seems to be missing, when
//	                   a barrier covers its bytes
//	get, gets          all earlier writes are answered,  at once from Loop.Get
//	                   and a barrier covers its bytes
//	get, gets,         behind unanswered writes, or      by WriteDone
//	Binary's get       before one: like a write, if the
//	                   backend takes it (behind.go)
//	mg, me, Binary's   like get                          at once from Loop.Look; if the item
//	get                                                  would change, like a write
//	stats conns        all earlier writes are answered,  in steps
//	                   and each loop has reported
//	refresh_certs      all earlier writes are answered,  at once
//	                   and the files have been read
//	lru_crawler        all earlier writes are answered,  in steps, from Loop.List
//	metadump and such  and a barrier of all has ended
//	everything else    all earlier writes are answered   at once
//
// A request that has to wait stays unparsed in the connection's input, and so does
// everything after it.
//
// A barrier covers the bytes that had arrived before it was asked for, and no later
// ones. Only for requests in those bytes it is known that all writes acknowledged
// before they were sent are visible.
//
// # Bounds
//
// Memory of one connection (options.go has the numbers; their names have the
// units):
//
//	input     while a request waits: pipelineBytesMax and one read of 64 KiB;
//	          else one unfinished request: the item limit and its command line, or
//	          the line of a multiget, which package protocol bounds
//	writes    unansweredWritesMax, without the bytes that the backend has copied,
//	          and the form (flags and key) of each that is not Text
//	output    outboundBytesMax, outChunkBytes and one item; for answers of gat and of reads among writes,
//	          whose items grow while they are on their way, outboundHardBytesMax; for a dump, and
//	          stats conns, outboundBytesMax and one step
//
// A connection that reaches a bound is not read from until it is below it again.
//
// # Goroutines
//
// All state of a connection and of a loop belongs to the goroutine of its event
// loop. The exceptions are Post, the published counters and whether lru_crawler was
// disabled. No lock is held while
// another one is acquired.
package server
