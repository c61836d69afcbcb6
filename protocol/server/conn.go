package server

import (
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

// conn is one connection: its requests from bytes to answers. It is the
// eventloop.Handler of its transport, and a state machine: life and wait say what
// it does with its next event. Everything in it belongs to its loop's goroutine.
//
// Invariant: wait is waitNothing from lifeClosing on.
//
// Invariant: between two events, the input is empty, begins with an unfinished
// request, or begins with the request that waits.
type conn struct {
	loop   *loop
	events eventloop.Conn
	parser *protocol.Parser

	life   life
	wait   wait
	access access

	in       input
	reads    reads
	out      output
	activity activity
	late     late

	unanswered int       // writes with the backend; a gat counts once for each key
	joined     int       // of them, reads that have joined, see behind.go
	owed       int       // bytes of values that are to come as their answers, about
	gatFailed  bool      // the error line of the first request was written, and no more follows
	touched    bool      // in loop.touched
	place      int       // in loop.conns
	listing    *listing  // answer to "stats conns" under way; nil if none
	dump       *dump     // under way; nil if none
	stepped    bool      // the last request was as much work as a step of a dump: others have their turn
	blockedAt  time.Time // when the first request began to wait for room at the backend; zero: it does not
	refreshed  *refresh  // done, and not answered; nil if none
}

// input is what is known of a connection's buffered input. Sizes are in bytes.
type input struct {
	need int // parsing fewer is of no use
	left int // from lifeEnding on: what is still handled
	seen int // what the last turn left
}

// reads is what is known of the reads at the front of a connection's input. Spans
// are bytes from the front, and shrink as input is consumed.
type reads struct {
	asked    int // span that the unanswered barrier covers
	granted  int // span whose reads may be answered: a barrier covers it
	prepared int // span whose keys the backend was told of
	ahead    int // span of gets that were looked at for a write behind them
	keysDone int // keys of the first request that are answered, or with the backend

	followed  bool // what is behind those of ahead is a write
	heed      Heed // for the reads in granted
	first     Heed // for the first request, if it has waited for a change
	confirmed bool // granted because a majority has answered

	// refused is the span whose reads, up to the first request that is no read,
	// are answered with the error status, because their barrier failed.
	refused int
	status  protocol.Status
}

// cover reports whether a read of size bytes at the front may be answered now.
func (r *reads) cover(size int) bool { return size <= r.granted || size <= r.refused }

// consume moves the spans past n bytes.
func (r *reads) consume(n int) {
	r.granted = max(0, r.granted-n)
	r.prepared = max(0, r.prepared-n)
	r.refused = max(0, r.refused-n)
	if r.ahead = max(0, r.ahead-n); r.ahead == 0 {
		r.followed = false
	}
	if n > 0 {
		r.first = Heed{}
	}
}

// activity is when something last happened on a connection, in sweeps of its loop
// (loop.sweeps), so that no clock is read for a request.
type activity struct {
	last    uint64 // input arrived, an answer was due, or the client took replies
	partial uint64 // the unfinished request began; 0 if there is none
}

// Open implements eventloop.LoopHandler.
func (l *loop) Open(events eventloop.Conn) eventloop.Handler {
	c := &conn{
		loop:     l,
		events:   events,
		parser:   protocol.NewParser(l.options.ItemBytesMax, &l.room),
		in:       input{need: 1},
		activity: activity{last: l.sweeps},
	}
	if l.options.Authenticator != nil {
		c.access = lockedOut
	}
	l.conns.add(c)
	return c
}

// Readable implements eventloop.Handler.
func (c *conn) Readable() {
	l := c.loop
	l.counters.Add(stats.BytesRead, c.events.Buffered()-c.in.seen)
	c.activity.last = l.sweeps
	if c.wait != waitNothing && c.late.left > 0 {
		c.late.arrived(l.timing.clock(), c.events.Buffered())
	}
	l.timing.begin()
	c.serve()
	l.timing.end()
	l.counters.Publish()
}

// InputEnded implements eventloop.Handler. An unfinished request is dropped.
func (c *conn) InputEnded() {
	c.endInput()
	c.finishTurn()
}

// Writable implements eventloop.Handler: the client has caught up.
func (c *conn) Writable() {
	c.came(waitClient)
	c.lookOutbound()
	c.serve()
}

// Closed implements eventloop.Handler. The connection's entries in the loop's
// queues stay, and are skipped when it is their turn.
func (c *conn) Closed() {
	c.life, c.wait = lifeClosed, waitNothing
	c.loop.conns.remove(c)
	c.dropReplies()
}

// endInput has the connection closed when the input that is there now has been
// handled and answered.
func (c *conn) endInput() {
	if c.life < lifeEnding {
		c.advance(lifeEnding)
		c.in.left = c.events.Buffered()
	}
}

// serve is the whole turn of a connection: it handles what is buffered, unless
// the first request waits, and sends the replies.
func (c *conn) serve() {
	if c.life == lifeClosed {
		return
	}
	if c.wait == waitNothing {
		c.handleInput()
	}
	c.finishTurn()
}

// finishTurn sends the replies, closes the connection if it is done, and decides
// whether to go on reading.
func (c *conn) finishTurn() {
	c.flush()
	if c.life >= lifeEnding && c.finish() {
		return
	}
	c.in.seen = c.events.Buffered()
	if (c.wait != waitNothing || c.life == lifeEnding) && c.in.seen > pipelineBytesMax {
		c.events.Pause()
	} else {
		c.events.Resume()
	}
}

// finish closes a connection that is to be closed, if nothing is left to answer,
// and reports whether it has closed.
func (c *conn) finish() (closed bool) {
	switch {
	case c.life == lifeClosed:
		return true
	case c.out.waiting > 0 && c.wait != waitClient:
		c.events.NotifyOutbound(0)
	case c.out.waiting == 0 && c.unanswered == 0 && c.wait == waitNothing:
		c.events.Close()
		return true
	}
	return false
}

// answerDue reports whether the connection has a request that the backend or
// another loop has to answer first.
func (c *conn) answerDue() bool {
	return c.unanswered > 0 || c.wait == waitBarrier || c.wait == waitChange || c.wait == waitBackend || c.wait == waitListing || c.wait == waitTurn || c.wait == waitRefresh
}
