package server

import (
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// class says how a request is carried out, and thereby what it has to wait for.
type class uint8

const (
	classAnswer    class = iota // by the server itself, at once
	classRead                   // by Loop.Get or Loop.Look
	classWrite                  // by Loop.Write
	classGat                    // a write that changes nothing if there is no item: see gat.go
	classListing                // by asking all loops for their connections, in steps
	classDump                   // by Loop.List, in steps
	classMembers                // by Backend.Members
	classRefresh                // by reading the certificates again
	classLocked                 // not at all: the client has to authenticate first
	classForbidden              // not at all: its user may not
	classFlushOff               // not at all: flush_all is not allowed
	classTooLarge               // not at all: the item is too large, and no old one is to be removed
)

// classify returns the class of a request.
func (c *conn) classify(req *protocol.Request) class {
	if c.access.limited {
		switch {
		case c.access.locked && !isPublic(req):
			return classLocked
		case c.access.refusal(req) != "":
			return classForbidden
		}
		req.NoWin = c.access.readOnly
	}
	switch {
	case asksForMembers(req):
		return classMembers
	case req.Command.IsRead():
		return classRead
	case req.Command == protocol.FlushAll && c.loop.options.FlushDisabled:
		return classFlushOff
	case req.TooLarge && !removesOld(req):
		return classTooLarge
	case isGat(req):
		return classGat
	case req.Command.IsWrite():
		return classWrite
	case req.Command == protocol.Stats && string(req.Arg) == "conns":
		return classListing
	case req.Command.IsDump():
		return classDump
	case req.Command == protocol.RefreshCerts && c.loop.options.Encryption != nil:
		return classRefresh
	default:
		return classAnswer
	}
}

// announceMax is how many lines a loop logs in announcePeriod of requests that change all
// items: a client that sends nothing else fills no disk with them.
const (
	announceMax    = 10
	announcePeriod = time.Second
)

// announced is what a loop has logged of them.
type announced struct {
	since  time.Time // of this period
	n      int       // in it
	untold int       // requests that were not logged since the last line
}

// announce logs a request that changes all items, and who made it.
func (c *conn) announce(req *protocol.Request) {
	if req.Command != protocol.FlushAll && req.Command != protocol.CacheMemlimit {
		return
	}
	a := &c.loop.announced
	if now := c.loop.options.Now(); now.Sub(a.since) >= announcePeriod {
		a.since, a.n = now, 0
	}
	if a.n++; a.n > announceMax {
		a.untold++
		return
	}
	var more []any
	if a.untold > 0 {
		more = append(more, "unlogged", a.untold)
		a.untold = 0
	}
	if req.Command == protocol.CacheMemlimit {
		c.loop.log.Info("cache_memlimit from "+c.events.RemoteAddr(), append(more, "MiB", req.Delta>>20)...)
		return
	}
	c.loop.log.Info("flush_all from "+c.events.RemoteAddr(), more...)
}

// removesOld reports whether a storage command that is too large removes the old
// item, as in memcached: set does, and ms in each of its modes.
func removesOld(req *protocol.Request) bool {
	return req.Command == protocol.Set || req.Form.Codec == protocol.Meta
}

// precede does what has to come before a request of size bytes at the front of
// buffered bytes of input, and returns what the request has to wait for. This is
// the only place that decides the order of execution, but for reads that join writes (behind.go):
//
//	a write waits for nothing, up to a bound of unanswered writes; a gat with nothing
//	before it, whose item seems to be missing, for a barrier;
//	everything else waits for the answers to all earlier writes;
//	a read waits also for a barrier, as the first step of a dump does, a listing for
//	all loops, and new certificates for their files.
func (c *conn) precede(req *protocol.Request, k class, size, buffered int) wait {
	switch {
	case (k == classWrite || k == classGat) && c.owesMuch():
		return waitFewerWrites
	case k == classGat && c.unanswered == 0 && !c.reads.cover(size) && c.seemsAbsent(req):
		return c.awaitBarrier(c.loop.backend.Barrier(), buffered)
	case k == classWrite, k == classGat:
		return waitNothing
	case c.unanswered > 0:
		return waitWrites
	case k == classRead && !c.reads.cover(size):
		return c.awaitBarrier(c.loop.backend.Barrier(), buffered)
	case k == classDump && c.dump == nil && !c.reads.cover(size):
		return c.awaitBarrier(c.loop.backend.BarrierOfAll(), buffered)
	case k == classListing:
		return c.gather()
	case k == classRefresh:
		return c.startRefresh()
	default:
		return waitNothing
	}
}

// execute carries out the request in the first size bytes of input, and reports
// whether it is done. If it is not, the connection waits, or has closed, and the
// request stays in the input.
func (c *conn) execute(req *protocol.Request, size int, input []byte) bool {
	k := c.classify(req)
	if k == classRead && c.joins(req, size, input) {
		return true
	}
	if w := c.precede(req, k, size, len(input)); w != waitNothing {
		c.await(w)
		return false
	}
	switch k {
	case classRead: // reads.refused stays
		done := c.read(req, size, input)
		if done { // it may have waited for room as a write, and has become a read
			c.blockedAt = time.Time{}
		}
		return done
	case classDump:
		return c.dumpItems(req, size)
	case classWrite:
		if !c.write(req) {
			return false
		}
		c.announce(req)
	case classGat:
		switch {
		case size <= c.reads.refused && c.refuseGat(req):
			return true // reads.refused stays
		case !c.gat(req, size):
			return false
		}
	case classListing:
		if !c.answerListing(req) {
			return false
		}
	case classMembers:
		c.answerMembers(req)
	case classRefresh:
		c.answerRefresh(req)
	case classLocked:
		c.refuse(req, "CLIENT_ERROR unauthenticated\r\n", protocol.StatusAuthFailure)
		c.advance(lifeClosing)
	case classForbidden:
		c.refuse(req, c.access.refusal(req), protocol.StatusAuthFailure)
	case classFlushOff:
		c.refuse(req, "CLIENT_ERROR flush_all not allowed\r\n", protocol.StatusAuthFailure)
	case classTooLarge:
		c.loop.counters.Add(stats.StoreTooLarge, 1)
		c.fail(req, protocol.StatusTooLarge)
	default:
		c.administer(req)
	}
	c.reads.refused, c.blockedAt = 0, time.Time{}
	return true
}

// owesMuch reports whether the backend has so many writes of the connection that the
// next one waits for answers: writes, or bytes of values that answers will have.
func (c *conn) owesMuch() bool {
	return c.unanswered >= unansweredWritesMax || c.owed > 0 && c.out.waiting+c.owed > outboundBytesMax
}

// write passes a write to the backend, and reports whether it is done with it. If not,
// the connection waits for the backend to accept it.
func (c *conn) write(req *protocol.Request) bool {
	if c.waitedTooLong() {
		return c.refuseBusy(req)
	}
	accepted, owed := c.passOn(req)
	if accepted == 0 {
		return false
	}
	c.pushWrite(req, writeWaiter{keys: 1, owed: owed})
	return true
}

// passOn has the backend take a write, as Loop.Write does. If it takes nothing, or others
// wait for room, the connection waits too.
func (c *conn) passOn(req *protocol.Request) (accepted, valueBytes int) {
	if !c.loop.mustQueue(c) {
		accepted, valueBytes = c.loop.backend.Write(req)
	}
	if accepted > 0 {
		c.blockedAt = time.Time{}
		return accepted, valueBytes
	}
	if c.blockedAt.IsZero() {
		c.blockedAt = c.loop.options.Now()
	}
	c.await(waitBackend)
	return 0, 0
}

// waitedTooLong reports whether the write whose turn it is has waited for so long that
// its client has given it up, or will soon.
func (c *conn) waitedTooLong() bool {
	o := c.loop.options
	return !c.blockedAt.IsZero() && o.WriteWait > 0 && o.Now().Sub(c.blockedAt) >= o.WriteWait
}

// refuseBusy answers a write that has waited too long, and reports whether it has: writes before it
// are answered first. What the client has sent behind it waits behind others.
func (c *conn) refuseBusy(req *protocol.Request) bool {
	if c.unanswered > 0 {
		c.await(waitWrites)
		return false
	}
	c.blockedAt = time.Time{}
	c.loop.turn = nil
	c.fail(req, protocol.StatusBusy)
	return true
}

// pushWrite has the answers to a write that the backend has accepted come to the
// connection.
func (c *conn) pushWrite(req *protocol.Request, w writeWaiter) {
	l := c.loop
	l.turn = nil
	l.wantFlush()
	w.c, w.command, w.noReply, w.fields = c, req.Command, req.NoReply, req.Fields
	c.noteWrite(req, &w)
	if req.Form.Codec != protocol.Text {
		w.formed = true
		l.forms.push(&req.Form)
	}
	if l.server.prefixes.On() {
		l.server.noteWrite(req, w.keys)
	}
	l.writes.push(w)
	c.unanswered += w.keys
	c.owed += w.owed
}
