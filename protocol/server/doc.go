// Package server serves memcached's protocols on the connections of package
// eventloop, and keeps every connection's answers in the order of its requests.
// What the requests mean is up to its Backend.
//
// Read first: Backend, Loop and Completer (the border to the node), then conn
// (one connection's requests, from bytes to answers), then loop (what the
// connections of one event loop share). Options and Start are the entrance.
//
// What crosses the border: protocol.Request towards the backend, whose slices
// alias the connection's input and are valid for the call only; protocol.Result
// back, borrowed for the call. Replies are bytes in a buffer of the loop.
//
// # Order
//
// A connection has one kind of work outstanding at a time, so no reordering
// buffer is needed:
//
//	request            waits until                       is then
//	write (IsWrite)    earlier reads are answered        handed to Loop.Write, answered by WriteDone
//	get, gets          earlier writes are answered, and  answered at once from Loop.Get
//	                   a barrier covers its bytes
//	stats conns        earlier writes are answered, and  answered at once
//	                   each loop has told of its own
//	mg, me, Binary's   as get                            answered at once from Loop.Look, or, if the
//	get                                                  item would change, handed on like a write
//	everything else    earlier writes are answered       answered at once
//
// A request that has to wait stays unparsed in the connection's input, and so
// does everything behind it.
//
// A barrier covers the bytes that had arrived before it was asked, never later
// ones: only for those does it hold that all writes acknowledged before they
// were sent are visible.
//
// # Bounds
//
// Memory of one connection (units in the names of the constants, options.go):
//
//	input     pipelineBytesMax and one read of 64 KiB while requests wait, else
//	          one unfinished request: the item limit and its command line, or the
//	          line of a multiget, which package protocol bounds
//	writes    unansweredWritesMax, without the bytes that the backend copied, and
//	          the form of each that is not of Text: its flags and key
//	output    outboundBytesMax, outChunkBytes and one item; for answers of gat,
//	          which cannot wait, outboundHardBytesMax; for stats conns, 150 bytes
//	          for each connection of the server
//
// At a bound the connection is not read from, until it has fallen below again.
//
// # Goroutines
//
// All of a connection's and a loop's state belongs to the goroutine of its event
// loop (package eventloop, which knows the transport; this package does not). The
// exceptions are Post and the published counters. There is no lock that is held
// while another is taken.
package server
