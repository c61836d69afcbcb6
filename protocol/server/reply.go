package server

import "raftcached/protocol"

// buffer returns the replies gathered so far, to be appended to and stored in
// c.out.
func (c *conn) buffer() []byte {
	if c.out == nil {
		c.out = c.loop.takeBuffer()
	}
	return c.out
}

// reply appends a complete reply line.
func (c *conn) reply(line string) { c.out = append(c.buffer(), line...) }

// flush writes the gathered replies to the client in one piece. What it does not
// take stays in the stream's buffer; a failed write closes the connection.
func (c *conn) flush() {
	if c.out != nil {
		out := c.out
		c.out = nil
		c.send(out)
		c.loop.putBuffer(out)
	} else if c.outbound > 0 && !c.closed {
		c.outbound = c.stream.OutboundBuffered()
	}
}

// send writes p to the client.
func (c *conn) send(p []byte) {
	if len(p) == 0 || c.closed {
		return
	}
	before := c.stream.OutboundBuffered()
	if _, err := c.stream.Write(p); err != nil {
		c.shut()
		return
	}
	c.loop.counters.add(bytesWritten, len(p))
	c.outbound = c.stream.OutboundBuffered()
	if before == 0 && c.outbound > 0 {
		c.paused = false // gnet has just set its own events
	}
}

// shut closes the connection at once. Waiters that it still has in the loop's
// queues are dropped when their turn comes.
func (c *conn) shut() {
	if c.closed {
		return
	}
	if h, ok := c.stream.(*halfClosed); ok {
		h.close()
		c.loop.forget(c)
		return
	}
	_ = c.gc.EventLoop().Close(c.gc) // calls OnClose; an error says that the descriptor was gone already
}

// outOfMemory is what a client is told that leaves too much unread.
const outOfMemory = "SERVER_ERROR out of memory writing get response\r\n"

// answerWrite appends the reply to one operation of the write of w, of which it
// is the last if last, in the form of the write.
func (c *conn) answerWrite(w *writeWaiter, f *protocol.Form, r *protocol.Result, last bool) {
	if w.noReply {
		return
	}
	full := len(r.Value) > 0 && c.outbound+len(c.out)+len(r.Value) > outboundHardBytesMax
	switch {
	case w.command != protocol.Gat && w.command != protocol.Gats:
		if full {
			r = &resultFull
		}
		c.out = protocol.AppendAnswer(c.buffer(), w.command, f, r)
	case w.failed:
		// Its one error line is written.
	case r.Status != protocol.StatusHit && r.Status != protocol.StatusMiss:
		w.failed = true
		c.out = protocol.AppendAnswer(c.buffer(), w.command, f, r)
	case full:
		w.failed = true
		c.reply(outOfMemory)
	default:
		c.out = protocol.AppendAnswer(c.buffer(), w.command, f, r)
		if last {
			c.reply(protocol.ReplyEnd)
		}
	}
	if len(c.out) >= outChunkBytes {
		c.flush()
	}
}

// resultFull answers a write whose value the client has no room for.
var resultFull = protocol.Result{Status: protocol.StatusOutOfMemory}

// refuse answers a request that is not carried out: with line in Text and Meta,
// in Binary with the packet of the status.
func (c *conn) refuse(req *protocol.Request, line string, s protocol.Status) {
	if req.NoReply {
		return
	}
	refused := protocol.Request{Form: req.Form, Reply: line, Status: s}
	c.out = protocol.AppendInvalid(c.buffer(), &refused)
}
