package server

import (
	"time"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// A gat, in each protocol, changes the item that it returns, and so is a write. Of an item
// that is missing it changes nothing, and is as good as a get. So keys that seem to be
// missing are read, once a barrier covers the request: then what is missing is known to be,
// and only the others are written. Where no barrier is needed, or a lease grants it, a gat of
// missing keys costs what a get of them does.
//
// Only a request that comes when all writes before it are answered is read: it would have to
// see what they do.

// presentKept is for how many keys a loop keeps room between gats.
const presentKept = 1024

// isGat reports whether a request is a gat. An mg that creates what is missing is none.
func isGat(req *protocol.Request) bool {
	switch req.Command {
	case protocol.Gat, protocol.Gats:
		return true
	}
	return req.Command == protocol.MetaGat && req.Fields&item.HasVivify == 0
}

// seemsAbsent reports whether some item of a gat seems to be missing, without a barrier.
func (c *conn) seemsAbsent(req *protocol.Request) bool {
	switch {
	case c.gatFailed: // nothing more is done
		return false
	case len(req.Keys) == 0:
		return c.loop.backend.Absent(req.Key, Heed{})
	}
	for _, key := range req.Keys[c.reads.keysDone:] {
		if c.loop.backend.Absent(key, Heed{}) {
			return true
		}
	}
	return false
}

// refuseGat answers a gat whose barrier has failed with its error, if it needs one, and
// reports whether it has.
func (c *conn) refuseGat(req *protocol.Request) bool {
	if c.unanswered > 0 || !c.seemsAbsent(req) {
		return false
	}
	c.reads.keysDone, c.gatFailed, c.blockedAt = 0, false, time.Time{}
	c.fail(req, c.reads.status)
	return true
}

// gat answers what is missing of a gat in the first size bytes of input, passes the rest to
// the backend, and reports whether it is done, as write does.
func (c *conn) gat(req *protocol.Request, size int) bool {
	reads := c.unanswered == 0 && size <= c.reads.granted
	switch {
	case len(req.Keys) > 0:
		done := c.gatKeys(req, reads)
		if l := c.loop; cap(l.present) > presentKept {
			l.present, l.places = nil, nil
		}
		return done
	case reads && c.loop.backend.Absent(req.Key, c.heed()):
		c.noteMiss(req, req.Key)
		if !req.NoReply {
			c.loop.miss.Key = req.Key
			c.out.replies = protocol.AppendAnswer(c.buffer(), req.Command, &req.Form, &c.loop.miss)
		}
		c.noteGat(req)
		return true
	}
	return c.write(req)
}

// gatKeys is gat for a gat or gats of any number of keys. If it is not done the connection
// waits: for the backend to accept it, or for the answers to the first keys, before it goes
// on with the rest.
func (c *conn) gatKeys(req *protocol.Request, reads bool) bool {
	r, l := &c.reads, c.loop
	if c.gatFailed { // as in memcached the keys behind are not touched
		r.keysDone, c.gatFailed = 0, false
		return true
	}
	if r.keysDone == 0 && c.waitedTooLong() {
		return c.refuseBusy(req)
	}
	l.present, l.places = l.present[:0], l.places[:0]
	for i := r.keysDone; i < len(req.Keys); i++ {
		if key := req.Keys[i]; !reads || !l.backend.Absent(key, c.heed()) {
			l.present, l.places = append(l.present, key), append(l.places, i)
		}
	}
	if len(l.present) == 0 {
		c.noteMisses(req, len(req.Keys), nil)
		r.keysDone = 0
		c.reply(protocol.ReplyEnd)
		c.noteGat(req)
		return true
	}
	rest := *req
	rest.Keys = l.present
	accepted, owed := c.passOn(&rest)
	if accepted == 0 {
		return false
	}
	more, done := accepted < len(rest.Keys), len(req.Keys)
	if more {
		done = l.places[accepted]
	}
	c.noteMisses(req, done, l.places[:accepted])
	c.pushWrite(&rest, writeWaiter{keys: accepted, owed: owed, more: more})
	if more {
		r.keysDone = done
		c.await(waitWrites)
		return false
	}
	r.keysDone = 0
	return true
}

// noteMisses counts the keys of a gat that are done, from reads.keysDone on, but for those
// at the places that were passed on.
func (c *conn) noteMisses(req *protocol.Request, done int, passed []int) {
	for i := c.reads.keysDone; i < done; i++ {
		if len(passed) > 0 && passed[0] == i {
			passed = passed[1:]
		} else {
			c.noteMiss(req, req.Keys[i])
		}
	}
}

// noteMiss counts a key of a gat that is missing.
func (c *conn) noteMiss(req *protocol.Request, key []byte) {
	l := c.loop
	l.counters.AddWrite(req.Command, req.Form.Codec, req.Fields, &l.miss)
	l.timing.sampleRead(key)
	if l.server.prefixes.On() && countsPrefix(req.Command, req.Form.Codec) {
		l.server.noteGet(key, false)
	}
}

// noteGat notes a gat of which nothing was written.
func (c *conn) noteGat(req *protocol.Request) {
	if c.loop.timing.sampled || c.late.left > 0 {
		c.noteRead(req, req.Key)
	}
}
