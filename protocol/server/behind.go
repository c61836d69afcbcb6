package server

import (
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// A read that comes when earlier writes of its connection are not answered joins them: the
// backend does it behind them, and before the writes that follow. So a pipeline in which reads
// and writes take turns takes one round trip of the cluster, not one for each turn, and
// requests of many users on one connection do not wait for each other. Such a read
// needs no barrier: the writes are it. So a read joins the write that follows it too, if it
// would have to wait: for a barrier, or for a change of its item.
//
// Behind reads alone it does not join: a client that has written once, and reads from then on before
// all is answered, would have all its reads done with sub-batches of the log.
//
// A meta get does not: it may find that its client is to fetch the item again, which is a write,
// of which the others have to know.

// canJoin reports whether a read can join writes at all.
func (c *conn) canJoin(req *protocol.Request) bool {
	if req.Command == protocol.MetaDebug || req.Command == protocol.MetaGet && req.Form.Codec == protocol.Meta {
		return false
	}
	return !c.owesMuch() && c.reads.keysDone == 0 && !c.loop.mustQueue(c)
}

// joins has a read at the front of input, of size bytes, join the writes before it, or the next one if it would
// have to wait for a barrier, and reports whether it has.
func (c *conn) joins(req *protocol.Request, size int, input []byte) bool {
	switch {
	case c.unanswered > c.joined:
		return c.canJoin(req) && c.readBehind(req)
	case c.unanswered > 0: // as soon as the reads before it are answered, it is as any other
	case c.reads.cover(size) || size == len(input) || c.loop.backend.Grants():
		return false // at once, or there is no next write
	}
	return c.joinsNext(req, input)
}

// joinsNext has a read at the front of input, which would have to wait, join the next write, and
// reports whether it has.
func (c *conn) joinsNext(req *protocol.Request, input []byte) bool {
	return !c.access.readOnly && c.canJoin(req) && c.writeAhead(input) && c.readBehind(req)
}

// writeAhead reports whether a write follows the gets at the front of input. It looks at each of
// them once, however often it is called.
func (c *conn) writeAhead(input []byte) bool {
	r := &c.reads
	if !r.followed {
		var n int
		n, r.followed = protocol.WriteAhead(input[min(r.ahead, len(input)):])
		r.ahead += n
	}
	return r.followed
}

// readBehind passes a read to the backend, and reports whether that has taken it.
func (c *conn) readBehind(req *protocol.Request) bool {
	l := c.loop
	keys := req.Keys
	if len(keys) == 0 {
		l.ahead = append(l.ahead[:0], req.Key)
		keys = l.ahead
	}
	owed, ok := l.backend.ReadBehind(keys)
	if ok {
		c.pushWrite(req, writeWaiter{keys: len(keys), owed: owed, read: true})
		c.joined += len(keys)
	}
	return ok
}

// readDone counts a key that was read behind writes, and returns how it is answered.
func (l *loop) readDone(r *protocol.Result) *protocol.Result {
	switch r.Status {
	case protocol.StatusHit:
		l.counters.AddGets(stats.WayBehind, 1, 1)
	case protocol.StatusMiss:
		l.counters.AddGets(stats.WayBehind, 1, 0)
	case protocol.StatusOutcomeUnknown, protocol.StatusMalformed: // of the writes
		return &unread
	}
	return r
}

// unread is the result of a read of which the answer was lost.
var unread = protocol.Result{Status: protocol.StatusTimeout}
