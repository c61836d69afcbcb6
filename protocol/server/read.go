package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// awaitBarrier has a barrier that was asked for cover the buffered bytes of input, and
// returns what their reads have to wait for.
func (c *conn) awaitBarrier(g Grant, buffered int) wait {
	l := c.loop
	if g != GrantLater {
		c.reads.granted, c.reads.heed, c.reads.confirmed = buffered, Heed{Changes: g == GrantChanges}, false
		return waitNothing
	}
	c.reads.asked = buffered
	l.barriers.push(c)
	l.wantFlush()
	return waitBarrier
}

// barrierDone takes the answer to the barrier that was asked for.
func (c *conn) barrierDone(s protocol.Status) {
	if s == protocol.StatusOK {
		c.reads.granted, c.reads.heed, c.reads.confirmed = c.reads.asked, Heed{}, true
	} else {
		c.reads.refused, c.reads.status = c.reads.asked, s
	}
	c.came(waitBarrier)
}

// read answers a read in the first size bytes of input, which a barrier covers,
// and reports whether it is done.
func (c *conn) read(req *protocol.Request, size int, input []byte) bool {
	if size <= c.reads.refused {
		c.reads.keysDone = 0
		c.fail(req, c.reads.status)
		return true
	}
	if size > c.reads.prepared && size < c.reads.granted {
		c.prepare(input)
	}
	if req.Command == protocol.Get || req.Command == protocol.Gets {
		return c.get(req, input)
	}
	return c.look(req, input)
}

// prepare tells the backend the keys of the reads that input begins with.
func (c *conn) prepare(input []byte) {
	r, l := &c.reads, c.loop
	l.ahead, r.prepared = protocol.AheadKeys(input[:min(r.granted, len(input))], l.ahead[:0])
	if len(l.ahead) > 1 {
		l.backend.Prepare(l.ahead)
	}
}

// look answers a read of Meta or Binary. If the item would change, the request
// becomes a write, and the item is looked up again when that is applied.
func (c *conn) look(req *protocol.Request, input []byte) bool {
	l := c.loop
	out, found := l.backend.Look(c.buffer(), req, c.heed())
	c.out.replies = out
	switch {
	case found == UnderWay && c.joinsNext(req, input):
		return true
	case found == UnderWay:
		l.ahead = append(l.ahead[:0], req.Key)
		return !c.awaitChange(l.ahead) && c.look(req, input)
	case found == NeedsWrite && c.access.readOnly:
		c.refuse(req, notAllowedWrite, protocol.StatusAuthFailure)
	case found == NeedsWrite:
		return c.write(req)
	case req.Command == protocol.MetaDebug:
		l.counters.Add(stats.CmdMeta, 1)
	default:
		hits := 0
		if found == Hit {
			hits = 1
		}
		l.counters.AddGets(c.way(), 1, hits)
		l.timing.sampleRead(req.Key)
		if req.Form.Codec == protocol.Binary && l.server.prefixes.On() {
			l.server.noteGet(req.Key, found == Hit)
		}
	}
	if l.timing.sampled || c.late.left > 0 {
		c.noteRead(req, req.Key)
	}
	return true
}

// heed is what the first request heeds.
func (c *conn) heed() Heed {
	if c.reads.first != (Heed{}) {
		return c.reads.first
	}
	return c.reads.heed
}

// way is how the first request is read.
func (c *conn) way() stats.Way {
	switch {
	case c.reads.first.Changes:
		return stats.WayWaited
	case c.reads.heed.Changes:
		return stats.WayLeased
	case c.reads.confirmed:
		return stats.WayConfirmed
	}
	return stats.WayLocal
}

// awaitChange has the first request wait for changes of keys, and reports whether
// it has to.
func (c *conn) awaitChange(keys [][]byte) (waits bool) {
	c.reads.first, waits = c.loop.backend.Await(keys, c.heed(), c)
	if waits {
		c.await(waitChange)
	}
	return waits
}

// get appends the values of the keys. When the client does not take its replies, or
// an item is changing, it stops between two keys and waits, and continues there when
// called again.
func (c *conn) get(req *protocol.Request, input []byte) bool {
	var (
		l       = c.loop
		withCAS = req.Command == protocol.Gets
		first   = c.reads.keysDone
		hits    = 0
		found   Found
		out     = c.buffer()
		detail  = l.server.prefixes.On()
	)
	for i := first; i < len(req.Keys); i++ {
		if n := i - first; n%aheadMax == 0 && len(req.Keys)-i > 1 {
			l.backend.Prepare(req.Keys[i:min(i+aheadMax, len(req.Keys))])
		}
		if out, found = l.backend.Get(out, req.Keys[i], withCAS, c.heed()); found == UnderWay {
			l.counters.AddGets(c.way(), i-first, hits)
			c.out.replies, c.reads.keysDone = out, i
			return c.joinsNext(req, input) || !c.awaitChange(req.Keys[i:]) && c.get(req, input) // which goes on with key i
		}
		if found == Hit {
			hits++
		}
		if detail {
			l.server.noteGet(req.Keys[i], found == Hit)
		}
		if len(out) < outChunkBytes {
			continue
		}
		c.out.replies = out
		c.flush()
		if c.life == lifeClosed {
			return false
		}
		out = c.buffer()
		if c.out.waiting > outboundBytesMax {
			c.await(waitClient)
			c.reads.keysDone = i + 1
			l.counters.AddGets(c.way(), i+1-first, hits)
			return false
		}
	}
	c.out.replies = append(out, protocol.ReplyEnd...)
	c.reads.keysDone = 0
	l.counters.AddGets(c.way(), len(req.Keys)-first, hits)
	l.timing.sample(req.Keys)
	if l.timing.sampled || c.late.left > 0 {
		c.noteRead(req, req.Keys[0])
	}
	return true
}
