package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

// conn is one connection: its requests from bytes to answers. It is the
// eventloop.Handler of its transport. Everything in it
// belongs to its loop's goroutine.
//
// Invariant: input behind a request that waits is not parsed, so at most one of
// these holds: writes are unanswered, a barrier is asked, or a listing is gathered.
//
// Invariant: whenever stopped is set, something calls serve again: an answer
// (unanswered, barrier, listing), the loop's list blocked, or Writable (lagging).
type conn struct {
	loop   *loop
	events eventloop.Conn
	parser *protocol.Parser
	locked bool // the client has yet to tell its user and password

	need      int  // input to have before parsing is worth it, bytes
	inputLeft int  // with eof: bytes of input that are still handled
	stopped   bool // the first request of the input waits for something
	closing   bool // no more requests; closes when all answers have left
	eof       bool // no more input; closes when the next inputLeft bytes are handled
	closed    bool

	unanswered  int  // writes with the backend
	barrier     bool // a barrier is asked and not answered
	barrierSpan int  // bytes of input that the asked barrier covers
	granted     int  // bytes of input whose reads may be answered
	prepared    int  // bytes of input whose reads the backend was told of
	keysDone    int  // keys of the first request of the input that are answered

	listing *listing // being gathered for stats conns; nil if none

	// refused is the error with which reads of the next refusedSpan bytes are
	// answered, up to the first request that is no read.
	refused     protocol.Status
	refusedSpan int

	out      []byte // replies of this turn; a buffer of the loop, nil if none
	outbound int    // bytes that the client had not taken when last looked

	touched bool // in loop.touched
	blocked bool // in loop.blocked
	lagging bool // Writable is awaited

	seenInput    int    // bytes of input left by the last turn
	activeSweep  uint64 // sweep of the loop in which something last happened
	partialSweep uint64 // sweep in which the unfinished request began; 0 if there is none
}

// Open implements eventloop.LoopHandler.
func (l *loop) Open(events eventloop.Conn) eventloop.Handler {
	c := &conn{
		loop:        l,
		events:      events,
		parser:      protocol.NewParser(l.options.ItemBytesMax),
		locked:      l.options.Authenticator != nil,
		need:        1,
		activeSweep: l.sweeps,
	}
	l.conns[c] = struct{}{}
	return c
}

// Readable implements eventloop.Handler.
func (c *conn) Readable() {
	l := c.loop
	l.counters.Add(stats.BytesRead, c.events.Buffered()-c.seenInput)
	c.activeSweep = l.sweeps
	if c.stopped && !c.closing {
		c.finishTurn()
	} else {
		c.serve()
	}
	l.counters.Publish()
}

// InputEnded implements eventloop.Handler. What the client has not completed is
// not awaited any more.
func (c *conn) InputEnded() {
	if !c.eof {
		c.endInput()
	}
	c.finishTurn()
}

// Writable implements eventloop.Handler: the client has caught up.
func (c *conn) Writable() {
	c.lagging = false
	c.lookOutbound()
	c.serve()
}

// Stalled implements eventloop.Handler. A client that leaves and does not take
// its replies is not waited for.
func (c *conn) Stalled() {
	if c.closing || c.eof {
		c.events.Close()
	}
}

// Closed implements eventloop.Handler. What the connection still awaits in the
// loop's queues is dropped when its turn comes.
func (c *conn) Closed() {
	c.closed = true
	delete(c.loop.conns, c)
	if c.out != nil {
		c.loop.putBuffer(c.out)
		c.out = nil
	}
}

// serve handles what is buffered and sends the replies: the whole turn of a
// connection.
func (c *conn) serve() {
	if c.closed {
		return
	}
	c.handleInput()
	c.finishTurn()
}

// finishTurn writes the replies out, closes the connection if it is done, and
// decides whether to go on reading.
func (c *conn) finishTurn() {
	c.flush()
	if c.closed {
		return
	}
	if c.closing || c.eof {
		if c.done() {
			c.events.Close()
			return
		}
		if c.outbound > 0 {
			c.lag()
		}
	}
	c.seenInput = c.events.Buffered()
	if (c.stopped || c.eof) && c.seenInput > pipelineBytesMax {
		c.events.Pause()
	} else {
		c.events.Resume()
	}
}

// done reports whether a connection that is to be closed has nothing left to
// answer.
func (c *conn) done() bool {
	return c.unanswered == 0 && !c.barrier && c.listing == nil && c.outbound == 0 && (c.closing || !c.stopped)
}

// awaiting reports whether an answer of the backend is due.
func (c *conn) awaiting() bool { return c.unanswered > 0 || c.barrier || c.blocked || c.listing != nil }

// handleInput parses and executes the buffered requests up to one that has to
// wait.
func (c *conn) handleInput() {
	if c.barrier {
		return
	}
	buffered := c.events.Buffered()
	if buffered == 0 {
		c.stopped = false
		return
	}
	if c.closing {
		c.events.Discard(buffered)
		return
	}
	if buffered < c.need && !c.eof {
		return
	}
	input := c.events.Peek()
	if c.eof {
		input = input[:min(c.inputLeft, len(input))]
	}
	c.events.Discard(c.handle(input))
}

// handle executes the requests of input, and returns how many bytes of it are
// done with.
func (c *conn) handle(input []byte) (done int) {
	req := &c.loop.request
	c.stopped = false
	c.need = 1
	for done < len(input) && !c.closing && !c.closed {
		if c.outbound > outboundBytesMax {
			c.lag()
			c.stopped = true
			return done
		}
		n, verdict := c.parse(input[done:], req)
		switch verdict {
		case protocol.NeedMore:
			done += n
			c.consume(n)
			if n > 0 && !c.parser.Swallowing() {
				c.partialSweep = 0
				continue
			}
			c.need = max(1, c.parser.BufferBytesNeeded())
			c.beginPartial()
			return done
		case protocol.Close:
			c.closing = true
			return done
		}
		c.partialSweep = 0
		if !c.execute(req, n, input[done:]) {
			c.stopped = true
			return done
		}
		c.parser.Consumed(req)
		done += n
		c.consume(n)
		if len(c.out) >= outChunkBytes {
			c.flush()
		}
	}
	if c.parser.Swallowing() {
		c.beginPartial()
	}
	return done
}

// beginPartial notes that the client is not done with its request.
func (c *conn) beginPartial() {
	if c.partialSweep == 0 {
		c.partialSweep = c.loop.sweeps
	}
}

// endInput has the connection closed when everything that it holds in its input
// now is handled and answered.
func (c *conn) endInput() {
	c.eof = true
	c.inputLeft = c.events.Buffered()
}

// consume moves what is known of the input's ranges past n bytes.
func (c *conn) consume(n int) {
	c.granted = max(0, c.granted-n)
	c.prepared = max(0, c.prepared-n)
	c.refusedSpan = max(0, c.refusedSpan-n)
	c.inputLeft -= n
}

// parse finds the first request of b.
func (c *conn) parse(b []byte, req *protocol.Request) (consumed int, v protocol.Verdict) {
	if c.locked {
		return c.parser.ParseLogin(b, req)
	}
	return c.parser.Parse(b, req)
}

// execute carries out the request that the first size bytes of input hold, and
// reports whether it is done with; false means that it has to wait, unparsed.
func (c *conn) execute(req *protocol.Request, size int, input []byte) bool {
	switch {
	case c.locked && !isPublic(req):
		c.refuse(req, "CLIENT_ERROR unauthenticated\r\n", protocol.StatusAuthFailure)
		c.closing = true
	case asksForMembers(req):
		if c.unanswered > 0 {
			return false
		}
		c.answerMembers(req)
	case req.Command.IsRead():
		return c.read(req, size, input)
	case req.Command == protocol.FlushAll && c.loop.options.FlushDisabled:
		if c.unanswered > 0 {
			return false
		}
		c.refuse(req, "CLIENT_ERROR flush_all not allowed\r\n", protocol.StatusAuthFailure)
	case req.TooLarge && !removesOld(req):
		if c.unanswered > 0 {
			return false
		}
		c.loop.counters.Add(stats.StoreTooLarge, 1)
		if !req.NoReply {
			c.out = protocol.AppendAnswer(c.buffer(), req.Command, &req.Form, &protocol.Result{Status: protocol.StatusTooLarge})
		}
	case req.Command.IsWrite():
		if !c.write(req) {
			return false
		}
	case req.Command == protocol.Stats && string(req.Arg) == "conns":
		if !c.listConns(req) {
			return false
		}
	default:
		if c.unanswered > 0 {
			return false
		}
		c.answer(req)
	}
	c.refusedSpan = 0
	return true
}

// removesOld reports whether a storage command that is too large removes the old
// item, as memcached has it: set does, and ms in each of its modes.
func removesOld(req *protocol.Request) bool {
	return req.Command == protocol.Set || req.Form.Codec == protocol.Meta
}

// write hands a write to the backend.
func (c *conn) write(req *protocol.Request) bool {
	if c.unanswered >= unansweredWritesMax {
		return false
	}
	l := c.loop
	if !l.backend.Write(req) {
		l.block(c)
		return false
	}
	l.wantFlush()
	w := writeWaiter{c: c, keys: 1, command: req.Command, noReply: req.NoReply, fields: req.Fields}
	if req.Command == protocol.Gat || req.Command == protocol.Gats {
		w.keys = len(req.Keys)
	}
	if req.Form.Codec != protocol.Text {
		w.formed = true
		l.forms.push(&req.Form)
	}
	l.writes.push(w)
	c.unanswered += w.keys
	return true
}
