package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol"
)

// listing is an answer to "stats conns" that is being gathered. Each loop
// describes its own connections on its own goroutine and posts that to the loop of
// the connection that asked. So no loop waits for another one, and no lock is
// needed.
//
// It is bounded by the number of connections: about 150 bytes of answer for each.
type listing struct {
	conns []connInfo
	left  int // loops that have not answered
}

// connInfo is what "stats conns" reports of a connection or a listener.
type connInfo struct {
	fd       int
	addr     string // as net has it
	listener string // address that the client connected to; empty for a listener
	state    string // memcached's word
	idle     time.Duration
}

// gather asks all loops for their connections, unless they have reported, and
// returns what "stats conns" has to wait for.
func (c *conn) gather() wait {
	if c.listing != nil {
		return waitNothing // complete: the connection executes nothing before
	}
	loops := c.loop.server.loops
	c.listing = &listing{left: len(loops), conns: c.loop.server.listenerInfos()}
	for _, l := range loops {
		l.Post(func() {
			infos := l.connInfos(c)
			c.loop.Post(func() { c.listed(infos) })
		})
	}
	return waitListing
}

// listed takes the report of one loop, and lets the connection continue if it was
// the last.
func (c *conn) listed(infos []connInfo) {
	c.listing.conns = append(c.listing.conns, infos...)
	c.listing.left--
	if c.listing.left == 0 {
		c.came(waitListing)
		c.serve()
	}
}

// answerListing answers "stats conns" with what was gathered.
func (c *conn) answerListing(req *protocol.Request) {
	c.stepped = true
	slices.SortFunc(c.listing.conns, func(a, b connInfo) int { return a.fd - b.fd })
	var list protocol.StatList
	for i := range c.listing.conns {
		c.listing.conns[i].add(&list)
	}
	c.listing = nil
	c.replyStats(req, list)
}

// connInfos describes the connections of the loop. The one that asked is reported
// as being served, not as waiting.
func (l *loop) connInfos(asker *conn) []connInfo {
	infos := make([]connInfo, 0, len(l.conns))
	period := l.options.sweepPeriod()
	for c := range l.conns {
		info := connInfo{fd: c.events.FD(), addr: c.events.RemoteAddr(), listener: c.events.LocalAddr(), state: c.stateName()}
		if c == asker {
			info.state = "conn_parse_cmd"
		} else {
			info.idle = time.Duration(l.sweeps-c.activity.last) * period // in whole sweeps
		}
		infos = append(infos, info)
	}
	return infos
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
