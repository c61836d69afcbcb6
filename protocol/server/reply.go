package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

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
// take stays in the buffer of the event loop; a failed write closes the
// connection.
func (c *conn) flush() {
	if c.out != nil {
		out := c.out
		c.out = nil
		c.events.Write(out)
		if !c.closed {
			c.loop.counters.Add(stats.BytesWritten, len(out))
			c.outbound = c.events.Outbound()
		}
		c.loop.putBuffer(out)
	} else if c.outbound > 0 {
		c.lookOutbound()
	}
}

// lag asks for Writable when the client has taken enough of its replies for the
// connection to go on.
func (c *conn) lag() {
	c.lagging = true
	if c.closing || c.eof && !c.stopped {
		c.events.NotifyOutbound(0)
	} else {
		c.events.NotifyOutbound(outboundBytesMax / 2)
	}
}

// lookOutbound looks how much the client has not taken. To take something is a
// sign of life.
func (c *conn) lookOutbound() {
	before := c.outbound
	if c.outbound = c.events.Outbound(); c.outbound < before {
		c.activeSweep = c.loop.sweeps
	}
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
