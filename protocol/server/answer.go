package server

import "raftcached/protocol"

// answer answers the commands that neither read nor write the cache.
func (c *conn) answer(req *protocol.Request) {
	switch req.Command {
	case protocol.Version:
		c.confirm(req, "VERSION "+c.loop.options.Version+"\r\n", c.loop.options.Version)
	case protocol.Verbosity:
		c.confirm(req, "OK\r\n", "")
	case protocol.Noop:
		c.confirm(req, "MN\r\n", "")
	case protocol.Stats:
		c.loop.counters.publish()
		c.answerStats(req, c.loop.server.appendStatsReply(nil, string(req.Arg)))
	case protocol.Shutdown:
		c.shutdown()
	case protocol.Quit:
		c.confirm(req, "", "")
		c.closing = true
	case protocol.SASLList:
		c.listMechanisms(req)
	case protocol.SASLAuth:
		c.logIn(req)
	default:
		c.out = protocol.AppendInvalid(c.buffer(), req)
		c.closing = req.HangUp
	}
}

// confirm answers a request that is done with: with line in Text and Meta, in
// Binary with a packet around body, but for a request that wants none.
func (c *conn) confirm(req *protocol.Request, line, body string) {
	switch {
	case req.NoReply:
	case req.Form.Codec != protocol.Binary:
		c.reply(line)
	case !req.Form.Quiet:
		c.out = protocol.AppendText(c.buffer(), &req.Form, body)
	}
}

// answerStats passes on the complete answer to stats as Text has it.
func (c *conn) answerStats(req *protocol.Request, lines []byte) {
	c.out = protocol.AppendStats(c.buffer(), &req.Form, lines)
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
