package server

import (
	"math"
	"time"

	"raftcached/protocol"
)

// dumpPause is how long the dumps of a loop rest after each step, which takes about as
// long: the other connections have at least half of the loop. memcached's crawler rests
// as long after each 1,000 items.
const dumpPause = 100 * time.Microsecond

// dump is a listing of all items that is under way: lru_crawler metadump and mgdump,
// stats cachedump. It is made in steps, each bounded by Loop.List, while the request
// stays in the input. It holds no item and no lock between two steps, and makes no step
// while outboundBytesMax of its lines wait for the client.
type dump struct {
	at   uint64 // where Loop.List goes on
	left int    // items to be told of
}

// dumps are those of one loop that are in waitTurn. They take turns: a loop makes one
// step at a time, however many dumps there are. So do connections that have sent more
// behind a stats command: each of those is about as much work as a step, and of few bytes.
type dumps struct {
	waiting fifo[*conn]
	timer   *time.Timer // runs while there are some
}

// dumpItems makes one step of a dump, whose request is the first size bytes of input,
// and reports whether it was the last.
func (c *conn) dumpItems(req *protocol.Request, size int) bool {
	if c.dump == nil {
		switch refusal := c.dumpRefusal(req); {
		case refusal != "":
			c.refuse(req, refusal, protocol.StatusInvalid)
			return true
		case size <= c.reads.refused:
			c.fail(req, c.reads.status)
			return true
		}
		c.dump = &dump{left: math.MaxInt}
		if req.Delta > 0 {
			c.dump.left = int(req.Delta)
		}
		c.out.replies = protocol.AppendDumpBegin(c.buffer(), req.Command)
	}
	d, told, more := c.dump, 0, false
	if !req.NoItems {
		c.out.replies, d.at, told, more = c.loop.backend.List(c.buffer(), req.Command, d.at, d.left)
	}
	if d.left -= told; !more || d.left == 0 {
		c.dump = nil
		c.out.replies = protocol.AppendDumpEnd(c.buffer(), req.Command)
		return true
	}
	c.pause()
	return false
}

// pause sends what a step has answered, and has the connection wait until the next one.
func (c *conn) pause() {
	switch c.flush(); {
	case c.life == lifeClosed:
	case c.out.waiting > outboundBytesMax:
		c.await(waitClient)
	default:
		c.await(waitTurn)
	}
}

// dumpRefusal is the line that answers a dump which is not allowed.
func (c *conn) dumpRefusal(req *protocol.Request) string {
	switch {
	case req.Command == protocol.CacheDump && c.loop.options.DumpDisabled:
		return "CLIENT_ERROR stats cachedump not allowed\r\n"
	case req.Command == protocol.CacheDump:
		return ""
	case c.loop.server.crawlerDisabled.Load():
		return crawlerDisabled
	case !c.loop.options.DumpDisabled:
		return ""
	case req.Command == protocol.MGDump:
		return "ERROR key dump not allowed\r\n"
	default:
		return "ERROR metadump not allowed\r\n"
	}
}

// crawlerDisabled answers what lru_crawler disable forbids.
const crawlerDisabled = "CLIENT_ERROR lru crawler disabled\r\n"

// crawl carries out the subcommands of lru_crawler that list nothing. There is nothing
// to crawl for, since items leave by their time of expiry.
func (c *conn) crawl(req *protocol.Request) {
	off := &c.loop.server.crawlerDisabled
	line := "OK\r\n"
	switch string(req.Arg) {
	case "enable":
		if !off.CompareAndSwap(true, false) {
			line = "ERROR failed to start lru crawler thread\r\n"
		}
	case "disable":
		off.Store(true)
	case "crawl":
		if off.Load() {
			line = crawlerDisabled
		}
	}
	c.reply(line)
}

// dumpLater has a connection go on, with its dump or its next request, when it is its turn.
func (l *loop) dumpLater(c *conn) {
	l.dumps.waiting.push(c)
	switch {
	case l.dumps.waiting.n > 1: // the timer runs, or dumpStep starts it
	case l.dumps.timer == nil:
		l.dumps.timer = time.AfterFunc(dumpPause, func() { l.Post(l.dumpStep) })
	default:
		l.dumps.timer.Reset(dumpPause)
	}
}

// dumpStep has the connection go on whose turn it is.
func (l *loop) dumpStep() {
	c := *l.dumps.waiting.front()
	l.dumps.waiting.pop()
	others := l.dumps.waiting.n > 0
	c.came(waitTurn)
	c.serve()
	if others {
		l.dumps.timer.Reset(dumpPause)
	}
}
