package server

import (
	"strings"

	"raftcached/protocol"
)

// verbosityMax is memcached's MAX_VERBOSITY_LEVEL.
const verbosityMax = 2

// administer carries out the commands that neither read nor write the cache.
func (c *conn) administer(req *protocol.Request) {
	switch req.Command {
	case protocol.Version:
		c.confirm(req, "VERSION "+c.loop.options.Version+"\r\n", c.loop.options.Version)
	case protocol.Verbosity:
		c.loop.server.setVerbosity(int(min(req.Delta, verbosityMax)))
		c.confirm(req, "OK\r\n", "")
	case protocol.Noop:
		c.confirm(req, "MN\r\n", "")
	case protocol.Stats:
		c.answerStats(req)
	case protocol.Crawler:
		c.crawl(req)
	case protocol.Shutdown:
		c.shutdown()
	case protocol.Quit:
		c.confirm(req, "", "")
		c.advance(lifeClosing)
	case protocol.RefreshCerts:
		c.refuse(req, "ERROR\r\n", protocol.StatusUnknownCommand) // as a memcached that knows nothing of TLS
	case protocol.SASLList:
		c.listMechanisms(req)
	case protocol.SASLAuth:
		c.logIn(req)
	default:
		c.replyInvalid(req)
		if req.HangUp {
			c.advance(lifeClosing)
		}
	}
}

// answerStats answers the stats commands except "stats conns": see listing.
func (c *conn) answerStats(req *protocol.Request) {
	s, arg := c.loop.server, string(req.Arg)
	c.stepped = true
	c.loop.counters.Publish()
	switch word, rest, _ := strings.Cut(arg, " "); word {
	case "reset": // whatever follows, as in memcached
		s.stats.Reset()
		c.confirmStats(req, "RESET\r\n")
		return
	case "detail":
		c.detail(req, strings.TrimSpace(rest))
		return
	}
	list, ok := s.stats.Report(arg)
	if !ok {
		list, ok = s.seenStats(arg)
	}
	if !ok {
		list, ok = s.backend.Stats(arg)
	}
	if ok {
		c.replyStats(req, list)
	} else {
		c.refuse(req, "ERROR\r\n", protocol.StatusNotFound)
	}
}

// detail carries out stats detail on, off or dump: the parser accepts nothing else.
func (c *conn) detail(req *protocol.Request, mode string) {
	prefixes := c.loop.server.prefixes
	switch {
	case mode != "dump":
		prefixes.Switch(mode == "on")
		c.confirmStats(req, "OK\r\n")
	case req.Form.Codec == protocol.Binary: // one statistic, which is the whole text
		var list protocol.StatList
		list.Add("detailed", string(prefixes.Append(nil)))
		c.replyStats(req, list)
	default:
		c.out.replies = prefixes.Append(c.buffer())
	}
}

// shutdown ends the process, if the operator allows it.
func (c *conn) shutdown() {
	if f := c.loop.options.Shutdown; f != nil {
		c.advance(lifeClosing)
		f()
		return
	}
	c.reply("SERVER_ERROR: shutdown not enabled\r\n")
}
