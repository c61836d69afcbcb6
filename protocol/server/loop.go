package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"

	"raftcached/protocol"
)

// Ticks look at the connections whose clients do not take their replies, because
// gnet does not tell when they do. They come faster while there is progress.
const (
	tickDelayMin = time.Millisecond
	tickDelayMax = 50 * time.Millisecond

	// stalledTicksMax is how many ticks a connection that is to be closed waits
	// for a client that takes none of its replies: 10 s at tickDelayMax.
	stalledTicksMax = 200

	// spareBuffersMax and spareBufferBytesMax bound what a loop keeps of reply
	// buffers that are not in use.
	spareBuffersMax     = 16
	spareBufferBytesMax = 2 * outChunkBytes

	// aheadMax is how many keys the backend is told of before they are read.
	aheadMax = 32
)

// loop is what the connections of one event loop share. It is the Completer of
// its backend. All but post and the published counters belongs to the loop's
// goroutine.
type loop struct {
	server  *Server
	options *Options
	log     *slog.Logger
	backend Loop
	events  gnet.EventLoop
	epollFD int

	request protocol.Request // the one being executed
	ahead   [][]byte         // keys that the backend is told of
	spare   [][]byte         // reply buffers that are not in use

	writes   fifo[writeWaiter]
	forms    forms         // of those writes that are formed
	form     protocol.Form // of the write being answered
	barriers fifo[*conn]

	conns   map[*conn]struct{}
	touched []*conn // answered in the current series; see ResultsEnd
	blocked []*conn // the backend refused their write; tried again at ResultsEnd
	lagging []*conn // their clients do not take their replies; looked at by tick

	flushWanted  bool // the backend has something to send on
	inTask       bool // runPosted is running and will flush
	turnEnd      gnet.Runnable
	turnEndAsked bool

	ticker    *time.Timer
	tickArmed bool
	tickDelay time.Duration
	sweeps    uint64 // calls of sweep, plus 1
	draining  bool

	counters counters
	post     postQueue
}

// postQueue carries functions to the loop's goroutine: many posts cost one task
// of gnet.
type postQueue struct {
	mu     sync.Mutex
	queued []func()
	asked  bool // a task that will take them is on its way
	closed bool // set before gnet's pollers are closed: gnet would write to a closed descriptor
	spare  []func()
	task   gnet.Runnable
}

// newLoop returns the state of the event loop events.
func newLoop(s *Server, events gnet.EventLoop, epollFD int) *loop {
	l := &loop{
		server:  s,
		options: &s.options,
		log:     s.options.Logger,
		events:  events,
		epollFD: epollFD,
		conns:   make(map[*conn]struct{}),
		sweeps:  1,
		ahead:   make([][]byte, 0, aheadMax),
	}
	l.turnEnd = gnet.RunnableFunc(func(context.Context) error {
		l.turnEndAsked = false
		l.endTurn()
		return nil
	})
	l.post.task = gnet.RunnableFunc(func(context.Context) error {
		l.runPosted()
		return nil
	})
	return l
}

// Post implements Completer.
func (l *loop) Post(f func()) {
	q := &l.post
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.queued = append(q.queued, f)
	if q.asked {
		return
	}
	q.asked = true
	if err := l.events.Execute(context.Background(), q.task); err != nil {
		l.log.Error("wake an event loop", "error", err)
	}
}

// closePost drops what is posted from now on.
func (l *loop) closePost() {
	l.post.mu.Lock()
	defer l.post.mu.Unlock()
	l.post.closed = true
}

// runPosted runs what was posted before it started.
func (l *loop) runPosted() {
	q := &l.post
	q.mu.Lock()
	fs := q.queued
	q.queued, q.spare, q.asked = q.spare, nil, false
	q.mu.Unlock()

	l.inTask = true
	for _, f := range fs {
		f()
	}
	l.inTask = false
	clear(fs)

	q.mu.Lock()
	q.spare = fs[:0]
	q.mu.Unlock()
	l.endTurn()
}

// wantFlush has the backend's Flush called at the end of the turn, by a task
// that gnet runs after the events at hand.
func (l *loop) wantFlush() {
	l.flushWanted = true
	if l.inTask || l.turnEndAsked {
		return
	}
	l.turnEndAsked = true
	if err := l.events.Execute(context.Background(), l.turnEnd); err != nil {
		l.log.Error("schedule the end of a turn", "error", err)
	}
}

// endTurn ends a turn of the loop.
func (l *loop) endTurn() {
	if l.flushWanted {
		l.flushWanted = false
		l.backend.Flush()
	}
	l.counters.publish()
}

// lag has tick look at the connection until its client took enough of its
// replies.
func (l *loop) lag(c *conn) {
	if !c.lagging {
		c.lagging = true
		c.stalledTicks = 0
		l.lagging = append(l.lagging, c)
	}
	if !l.tickArmed {
		l.tickDelay = tickDelayMin
		l.armTick()
	}
}

// armTick starts the timer of the next tick.
func (l *loop) armTick() {
	l.tickArmed = true
	if l.ticker == nil {
		l.ticker = time.AfterFunc(l.tickDelay, func() { l.Post(l.tick) })
	} else {
		l.ticker.Reset(l.tickDelay)
	}
}

// tick serves the lagging connections that have caught up.
func (l *loop) tick() {
	l.tickArmed = false
	progress := false
	looked := l.lagging
	l.lagging = nil
	for _, c := range looked {
		if c.closed {
			continue
		}
		c.lagging = false
		if c.caughtUp() {
			progress = true
			c.serve()
			continue
		}
		progress = progress || c.stalledTicks == 0
		if c.stalledTicks > stalledTicksMax && (c.closing || c.eof) {
			c.shut()
			continue
		}
		c.lagging = true
		l.lagging = append(l.lagging, c)
	}
	if len(l.lagging) == 0 {
		return
	}
	if l.tickDelay = min(2*l.tickDelay, tickDelayMax); progress {
		l.tickDelay = tickDelayMin
	}
	l.armTick()
}

// caughtUp looks how much the client has not taken, and reports whether that is
// little enough for the connection to go on.
func (c *conn) caughtUp() bool {
	if h, ok := c.stream.(*halfClosed); ok {
		h.drain()
	}
	if c.takesReplies() {
		c.stalledTicks = 0
		c.activeSweep = c.loop.sweeps
	} else {
		c.stalledTicks++
	}
	if c.closing || c.eof && !c.stopped {
		return c.outbound == 0
	}
	return c.outbound <= outboundBytesMax/2
}

// forget removes a closed connection.
func (l *loop) forget(c *conn) {
	c.closed = true
	delete(l.conns, c)
	if c.out != nil {
		l.putBuffer(c.out)
		c.out = nil
	}
	l.server.connClosed()
}

// takeBuffer returns an empty reply buffer.
func (l *loop) takeBuffer() []byte {
	if n := len(l.spare); n > 0 {
		b := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return b
	}
	return make([]byte, 0, 4096)
}

// putBuffer takes a reply buffer back.
func (l *loop) putBuffer(b []byte) {
	if len(l.spare) < spareBuffersMax && cap(b) <= spareBufferBytesMax {
		l.spare = append(l.spare, b[:0])
	}
}

// countGets counts the keys of a get that were looked up.
func (l *loop) countGets(keys, hits int) {
	l.counters.add(cmdGet, keys)
	l.counters.add(getHits, hits)
	l.counters.add(getMisses, keys-hits)
}
