package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// read answers a command for which IsRead holds, if its bytes are covered by a
// barrier.
func (c *conn) read(req *protocol.Request, size int, input []byte) bool {
	if c.unanswered > 0 {
		return false
	}
	if size <= c.refusedSpan {
		c.out = protocol.AppendAnswer(c.buffer(), req.Command, &req.Form, &protocol.Result{Status: c.refused})
		return true
	}
	l := c.loop
	if size > c.granted {
		if !l.backend.Barrier() {
			l.barriers.push(c)
			l.wantFlush()
			c.barrier, c.barrierSpan = true, len(input)
			return false
		}
		c.granted = len(input)
	}
	if size > c.prepared && size < c.granted {
		l.ahead, c.prepared = protocol.AheadKeys(input[:min(c.granted, len(input))], l.ahead[:0])
		if len(l.ahead) > 1 {
			l.backend.Prepare(l.ahead)
		}
	}
	if req.Command == protocol.Get || req.Command == protocol.Gets {
		return c.get(req)
	}
	return c.look(req)
}

// look answers a read of Meta or Binary. If the item would change by it, the
// request becomes a write, and what it meets is looked at again when that is
// applied.
func (c *conn) look(req *protocol.Request) bool {
	l := c.loop
	out, found := l.backend.Look(c.buffer(), req)
	c.out = out
	switch {
	case found == NeedsWrite:
		return c.write(req)
	case req.Command == protocol.MetaDebug:
		l.counters.Add(stats.CmdMeta, 1)
	case found == Hit:
		l.counters.AddGets(1, 1)
	default:
		l.counters.AddGets(1, 0)
	}
	return true
}

// get appends the values of the keys. It stops between two of them when the
// client does not take its replies, and goes on there when called again.
func (c *conn) get(req *protocol.Request) bool {
	var (
		l       = c.loop
		withCAS = req.Command == protocol.Gets
		first   = c.keysDone
		hits    = 0
		found   bool
		out     = c.buffer()
	)
	for i := first; i < len(req.Keys); i++ {
		if n := i - first; n%aheadMax == 0 && len(req.Keys)-i > 1 {
			l.backend.Prepare(req.Keys[i:min(i+aheadMax, len(req.Keys))])
		}
		if out, found = l.backend.Get(out, req.Keys[i], withCAS); found {
			hits++
		}
		if len(out) < outChunkBytes {
			continue
		}
		c.out = out
		c.flush()
		if c.closed {
			return false
		}
		out = c.buffer()
		if c.outbound > outboundBytesMax {
			c.lag()
			c.keysDone = i + 1
			l.counters.AddGets(c.keysDone-first, hits)
			return false
		}
	}
	c.out = append(out, protocol.ReplyEnd...)
	c.keysDone = 0
	l.counters.AddGets(len(req.Keys)-first, hits)
	return true
}
