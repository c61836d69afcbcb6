package server

import (
	"strings"

	"raftcached/protocol"
)

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
		c.answerStats(req)
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

// answerStats answers the stats commands but for "stats conns", which needs the
// other loops: see listing.
func (c *conn) answerStats(req *protocol.Request) {
	s, arg := c.loop.server, string(req.Arg)
	c.loop.counters.Publish()
	if arg == "reset" {
		s.stats.Reset()
		c.confirmStats(req, "RESET\r\n")
		return
	}
	if word, mode, _ := strings.Cut(arg, " "); word == "detail" {
		if strings.TrimSpace(mode) == "dump" {
			c.replyStats(req, nil) // no prefixes are kept
		} else {
			c.confirmStats(req, "OK\r\n") // on or off: the parser accepts nothing else
		}
		return
	}
	list, ok := s.stats.Report(arg)
	if !ok {
		list, ok = s.backend.Stats(arg)
	}
	if ok {
		c.replyStats(req, list)
	} else {
		c.refuse(req, "ERROR\r\n", protocol.StatusNotFound)
	}
}

// replyStats answers with statistics.
func (c *conn) replyStats(req *protocol.Request, list protocol.StatList) {
	c.out = protocol.AppendStats(c.buffer(), &req.Form, list)
}

// confirmStats answers a stats command that reports nothing. Binary has no line
// for it, and answers as if the list were empty.
func (c *conn) confirmStats(req *protocol.Request, line string) {
	if req.Form.Codec == protocol.Binary {
		c.replyStats(req, nil)
	} else {
		c.reply(line)
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
