package server

import "raftcached/protocol"

// answer answers the commands that neither read nor write the cache.
func (c *conn) answer(req *protocol.Request) {
	switch req.Command {
	case protocol.Version:
		c.reply("VERSION " + c.loop.options.Version + "\r\n")
	case protocol.Verbosity:
		if !req.NoReply {
			c.reply("OK\r\n")
		}
	case protocol.Stats:
		c.loop.counters.publish()
		c.out = c.loop.server.appendStatsReply(c.buffer(), string(req.Arg))
	case protocol.Shutdown:
		c.shutdown()
	case protocol.Quit:
		c.closing = true
	default:
		c.reply(req.Reply)
	}
}

// shutdown ends the process, if the operator allowed it.
func (c *conn) shutdown() {
	if f := c.loop.options.Shutdown; f != nil {
		c.closing = true
		f()
		return
	}
	c.reply("SERVER_ERROR: shutdown not enabled\r\n")
}
