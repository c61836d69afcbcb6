package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol"
)

// listingConnsMax is how many connections "stats conns" tells of in a step, which takes about as
// long as a step of a dump. Their lines have about 150 bytes each.
const listingConnsMax = 128

// listing is an answer to "stats conns" that is under way. It is made in steps, like a dump, so
// that neither what it holds nor what it does at once grows with the number of connections. In
// each step each loop describes some of its connections on its own goroutine and posts that to
// the loop of the connection that asked. So no loop waits for another one, and no lock is needed.
//
// Connections that stay open are told of once, those of a step by their descriptors.
type listing struct {
	first int        // place at which the step begins
	left  int        // loops that have not answered
	conns []connInfo // of the step
	more  bool       // there are places behind it
	ready bool       // all loops have answered
}

// connInfo is what "stats conns" reports of a connection or a listener.
type connInfo struct {
	fd       int
	addr     string // as net has it
	listener string // address that the client connected to; empty for a listener
	state    string // memcached's word
	idle     time.Duration
}

// gather asks all loops for the connections of a step, unless they have reported, and
// returns what "stats conns" has to wait for.
func (c *conn) gather() wait {
	if c.listing == nil {
		c.listing = &listing{conns: c.loop.server.listenerInfos()}
	}
	g := c.listing
	if g.ready {
		return waitNothing
	}
	loops := c.loop.server.loops
	first, end := g.first, g.first+max(1, listingConnsMax/len(loops))
	g.first, g.left = end, len(loops)
	for _, l := range loops {
		l.Post(func() {
			infos, more := l.connInfos(c, first, end)
			c.loop.Post(func() { c.listed(infos, more) })
		})
	}
	return waitListing
}

// listed takes the report of one loop, and lets the connection continue if it was
// the last.
func (c *conn) listed(infos []connInfo, more bool) {
	g := c.listing
	g.conns = append(g.conns, infos...)
	g.more = g.more || more
	if g.left--; g.left == 0 {
		g.ready = true
		c.came(waitListing)
		c.serve()
	}
}

// answerListing answers "stats conns" with what was gathered, and reports whether that was the
// last step.
func (c *conn) answerListing(req *protocol.Request) bool {
	g := c.listing
	slices.SortFunc(g.conns, func(a, b connInfo) int { return a.fd - b.fd })
	var list protocol.StatList
	for i := range g.conns {
		g.conns[i].add(&list)
	}
	if g.more {
		c.out.replies = protocol.AppendStatsBegun(c.buffer(), &req.Form, list)
		g.conns, g.more, g.ready = g.conns[:0], false, false
		c.pause()
		return false
	}
	c.stepped = true
	c.listing = nil
	c.replyStats(req, list)
	return true
}

// connInfos describes the connections of the loop in the places from the first one to the one
// before the end, and reports whether there are more places. The connection that asked is
// reported as being served, not as waiting.
func (l *loop) connInfos(asker *conn, first, end int) (infos []connInfo, more bool) {
	period := l.options.sweepPeriod()
	for c := range l.conns.between(first, end) {
		info := connInfo{fd: c.events.FD(), addr: c.events.RemoteAddr(), listener: c.events.LocalAddr(), state: c.stateName()}
		if c == asker {
			info.state = "conn_parse_cmd"
		} else {
			info.idle = time.Duration(l.sweeps-c.activity.last) * period // in whole sweeps
		}
		infos = append(infos, info)
	}
	return infos, end < len(l.conns.places)
}

// stateName names the state of the connection as memcached does.
func (c *conn) stateName() string {
	switch {
	case c.out.waiting > 0:
		return "conn_mwrite"
	case c.life >= lifeEnding:
		return "conn_closing"
	case c.answerDue():
		return "conn_io_pending"
	case c.parser.Swallowing():
		return "conn_swallow"
	case c.activity.partial > 0:
		return "conn_nread"
	default:
		return "conn_read"
	}
}

// listenerInfos describes the listeners that are open.
func (s *Server) listenerInfos() []connInfo {
	listeners := s.engine.Listeners()
	infos := make([]connInfo, 0, len(listeners))
	for _, ln := range listeners {
		if ln.FD >= 0 {
			infos = append(infos, connInfo{
				fd: ln.FD, addr: ln.Addr.String(), state: "conn_listening", idle: s.stats.Uptime(),
			})
		}
	}
	return infos
}

// add adds the statistics that memcached has of a connection.
func (i *connInfo) add(l *protocol.StatList) {
	name := strconv.Itoa(i.fd) + ":"
	l.Add(name+"addr", transportOf(i.addr)+i.addr)
	if i.listener != "" {
		l.Add(name+"listen_addr", transportOf(i.listener)+i.listener)
	}
	l.Add(name+"state", i.state)
	l.AddInt(name+"secs_since_last_cmd", int64(i.idle.Seconds()))
}

// transportOf returns the prefix that memcached gives an address.
func transportOf(addr string) string {
	if strings.HasPrefix(addr, "[") {
		return "tcp6:"
	}
	return "tcp:"
}
