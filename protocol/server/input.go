package server

import "raftcached/protocol"

// handleInput parses and executes the buffered requests up to one that has to
// wait.
func (c *conn) handleInput() {
	buffered := c.events.Buffered()
	switch {
	case c.life == lifeClosing:
		c.events.Discard(buffered)
		return
	case buffered == 0, buffered < c.in.need && c.life == lifeOpen:
		return
	}
	input := c.events.Peek()
	if c.life == lifeEnding {
		input = input[:min(c.in.left, len(input))]
	}
	c.events.Discard(c.handle(input))
}

// handle executes the requests of input, and returns how many bytes of it have
// been handled.
func (c *conn) handle(input []byte) (done int) {
	req := &c.loop.request
	c.in.need, c.stepped = 1, false
	for done < len(input) && c.life < lifeClosing {
		if c.out.waiting > outboundBytesMax {
			c.await(waitClient)
			c.late.begin(c.loop.timing.clock(), len(input)-done, waitClient)
			return done
		}
		n, verdict := c.parse(input[done:], req)
		switch verdict {
		case protocol.NeedMore:
			done += n
			c.consume(n)
			if n > 0 && !c.parser.Swallowing() {
				c.activity.partial = 0
				continue
			}
			c.in.need = max(1, c.parser.BufferBytesNeeded())
			c.beginPartial()
			return done
		case protocol.Close:
			c.advance(lifeClosing)
			return done
		}
		c.activity.partial = 0
		if !c.execute(req, n, input[done:]) {
			if c.wait != waitNothing {
				c.late.begin(c.loop.timing.clock(), len(input)-done, c.wait)
			}
			return done
		}
		c.parser.Consumed(req)
		done += n
		c.consume(n)
		if len(c.out.replies) >= outChunkBytes {
			c.flush()
		}
		if c.stepped && done < len(input) && c.life < lifeClosing {
			c.await(waitTurn)
			c.late.begin(c.loop.timing.clock(), len(input)-done, waitTurn)
			return done
		}
	}
	if c.parser.Swallowing() {
		c.beginPartial()
	}
	return done
}

// parse finds the first request of b.
func (c *conn) parse(b []byte, req *protocol.Request) (consumed int, v protocol.Verdict) {
	if c.access.locked {
		return c.parser.ParseLogin(b, req)
	}
	return c.parser.Parse(b, req)
}

// consume moves what is known of the input past n bytes.
func (c *conn) consume(n int) {
	c.reads.consume(n)
	c.in.left -= n
	if c.late.left > 0 {
		c.late.consume(n)
	}
}

// beginPartial notes that the client has not completed its request.
func (c *conn) beginPartial() {
	if c.activity.partial == 0 {
		c.activity.partial = c.loop.sweeps
	}
}
