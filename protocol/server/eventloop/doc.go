// Package eventloop accepts TCP connections and serves them on a few goroutines.
// It knows nothing of what the connections carry.
//
// Read first: Conn and Handler (one connection, from both sides), Loop and
// LoopHandler (what the connections of one goroutine share), then Engine.
//
// # Interface
//
// The interfaces say what an event loop does, not how: one on io_uring fits behind
// them. The only implementation uses gnet, and no other package of this module imports
// gnet.
//
// # Goroutines
//
// One goroutine for each listener accepts, one for each loop serves, one for each
// client that shakes hands waits for it, one for each that has ended its input and does not
// read its answers writes them, and one produces ticks if they are asked for. gnet has some
// to open connections, which end 10 s later. Unless it says otherwise, every method of
// Conn, Handler and LoopHandler is called on the goroutine of the connection's
// loop, so their state needs no lock. A method must not block. The exceptions are
// Loop.Post and the methods of Engine, which any goroutine may call.
//
// # Flow control
//
// A connection whose client does not read what was written to it is not read
// from either, until everything has left. So a client that sends and never reads
// costs what its Handler writes to it for one input, and the end of its input is
// seen when everything before has left.
//
// # TLS
//
// The connections of a listener may be encrypted. A goroutine shakes hands with the
// client, with crypto/tls on the socket; from then on the connection is one of gnet's, and
// no goroutine is kept for it:
//
//	tls_handshake.go  handshakes: bounded in time, few compute at a time
//	tls_conn.go       a Conn that decrypts and encrypts on the loop's goroutine
//	tls_input.go      what it has decrypted
//
// A client that shakes hands counts as a connection. If there are too many, the oldest
// handshake ends. Listeners with TLS serve nobody without, and say nothing to them.
//
// # gnet
//
// gnet v2.10.0 lacks some of what the interfaces promise. The files gnet_*.go
// make up for it:
//
//	gnet_conn.go   the connection; gnet's states in terms of Conn
//	gnet_half.go   gnet closes a connection at the end of its input: it is kept
//	               open on a duplicate of its descriptor, for which Go's poller waits
//	gnet_hoard.go  gnet keeps a large request in a ring of twice its size: mapped
//	               memory takes it, and is given back when it is over
//	gnet_loop.go   posted functions and the end of a turn, as tasks of gnet; gnet
//	               does not report that a client took output: a timer polls
//	gnet_sleep.go  gnet waits in a system call, which keeps a processor from the rest
//	               of the process: loops sleep in Go's poller before
//	gnet_yield.go  a loop that never waits keeps one too: it has Go's poller
//	               asked for all others now and then
//	gnet_epoll.go  gnet cannot stop reading: its epoll set is changed for it
//	gnet_start.go  gnet shows its loops only through connections: probes find them
//	gnet_log.go    gnet's messages in a slog.Logger
//
// gnet is driven through its Client, which is its engine without its acceptor.
// gnet's own acceptor ends the whole engine when the process runs out of
// descriptors, cannot refuse a connection before a loop has it, and does not
// report the port that it was given. Go's listener does all three.
package eventloop
