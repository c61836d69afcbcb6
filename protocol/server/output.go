package server

import "raftcached/protocol/server/stats"

// output is what a connection has to send.
type output struct {
	replies []byte // of this turn, in a buffer of the loop; nil if there are none
	waiting int    // bytes that the client had not taken when last looked at
}

// buffer returns the replies of this turn, to be appended to and stored in
// c.out.replies.
func (c *conn) buffer() []byte {
	if c.out.replies == nil {
		c.out.replies = c.loop.takeBuffer()
	}
	return c.out.replies
}

// flush writes the replies of this turn to the client in one piece. What it does
// not take waits in the event loop. A write that fails closes the connection.
func (c *conn) flush() {
	if c.out.replies == nil {
		if c.out.waiting > 0 {
			c.lookOutbound()
		}
		return
	}
	replies := c.out.replies
	c.out.replies = nil
	c.loop.counters.Publish() // who has the answer finds it counted, on any connection
	c.events.Write(replies)
	if c.life != lifeClosed {
		c.loop.counters.Add(stats.BytesWritten, len(replies))
		c.out.waiting = c.events.Outbound()
	}
	c.loop.putBuffer(replies)
}

// lookOutbound looks how much the client has not taken. If it took something, the
// connection is not idle.
func (c *conn) lookOutbound() {
	before := c.out.waiting
	if c.out.waiting = c.events.Outbound(); c.out.waiting < before {
		c.activity.last = c.loop.sweeps
	}
}

// dropReplies gives up the replies of this turn.
func (c *conn) dropReplies() {
	if c.out.replies != nil {
		c.loop.putBuffer(c.out.replies)
		c.out.replies = nil
	}
}
