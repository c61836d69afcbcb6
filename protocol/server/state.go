package server

// life is how far a connection has come. It only grows.
type life uint8

const (
	lifeOpen    life = iota
	lifeEnding       // no more input is expected: closes when what is there is handled and answered
	lifeClosing      // no more requests are handled: closes when all answers have left
	lifeClosed       // the transport is gone
)

// wait is what the first request of a connection's input waits for. That request
// and everything after it stay unparsed, so a connection waits for one thing at a
// time. Each is followed by a call of serve when it has come.
type wait uint8

const (
	waitNothing     wait = iota
	waitWrites           // answers to all earlier writes: ResultsEnd
	waitFewerWrites      // answers to writes, as owesMuch: ResultsEnd
	waitBarrier          // the answer to a barrier: ResultsEnd
	waitChange           // a change of what it reads: ResultsEnd
	waitListing          // reports of all loops for "stats conns": listed
	waitTurn             // its turn: of a dump to go on, of what follows statistics: loop.dumpStep
	waitRefresh          // the certificates: read on another goroutine
	waitBackend          // room at the backend, which refused the write: unblock
	waitClient           // the client to take replies: Writable
)

// await stops the handling of input until w has come.
func (c *conn) await(w wait) {
	c.wait = w
	switch w {
	case waitBackend:
		c.loop.blocked = append(c.loop.blocked, c)
	case waitTurn:
		c.loop.dumpLater(c)
	case waitClient:
		c.events.NotifyOutbound(outboundBytesMax / 2)
	}
}

// came ends the wait for w, if the connection waits for that.
func (c *conn) came(w wait) {
	if c.wait == w {
		c.wait = waitNothing
		if c.late.left > 0 {
			c.late.came(c.loop.timing.clock())
		}
	}
}

// lookUnanswered ends a wait for answers to writes, if enough have come.
func (c *conn) lookUnanswered() {
	if c.unanswered == 0 {
		c.came(waitWrites)
	}
	if !c.owesMuch() {
		c.came(waitFewerWrites)
	}
}

// advance moves the connection's life on to l, never back.
func (c *conn) advance(l life) { c.life = max(c.life, l) }
