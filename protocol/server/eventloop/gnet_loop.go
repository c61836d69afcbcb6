package eventloop

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Polls look at the connections whose clients do not take their output, because
// gnet does not report when they do. They come faster while there is progress.
const (
	pollDelayMin = time.Millisecond
	pollDelayMax = 50 * time.Millisecond
)

// gnetLoop is a Loop on an event loop of gnet. All of it but posts belongs to the
// loop's goroutine.
type gnetLoop struct {
	handler LoopHandler
	log     *slog.Logger
	events  gnet.EventLoop
	epollFD int

	half  map[*gnetConn]struct{} // connections in phase halfOpen
	spare []byte                 // mapped, for the next hoard; nil: none
	tls   tlsLoop

	polled    []*gnetConn // to be looked at by poll
	pollTimer *time.Timer
	pollArmed bool
	pollDelay time.Duration

	inPosts      bool // runPosts is running and will end the turn
	turnEnd      gnet.Runnable
	turnEndAsked bool

	posts postQueue
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

// newGnetLoop returns the loop on gnet's event loop events.
func newGnetLoop(events gnet.EventLoop, epollFD int, log *slog.Logger) *gnetLoop {
	l := &gnetLoop{log: log, events: events, epollFD: epollFD, half: make(map[*gnetConn]struct{})}
	l.turnEnd = gnet.RunnableFunc(func(context.Context) error {
		l.turnEndAsked = false
		l.handler.TurnEnd()
		return nil
	})
	l.posts.task = gnet.RunnableFunc(func(context.Context) error {
		l.runPosts()
		return nil
	})
	return l
}

// Post implements Loop.
func (l *gnetLoop) Post(f func()) {
	q := &l.posts
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

// closePosts drops what is posted from now on.
func (l *gnetLoop) closePosts() {
	l.posts.mu.Lock()
	defer l.posts.mu.Unlock()
	l.posts.closed = true
}

// runPosts runs what was posted before it started.
func (l *gnetLoop) runPosts() {
	q := &l.posts
	q.mu.Lock()
	fs := q.queued
	q.queued, q.spare, q.asked = q.spare, nil, false
	q.mu.Unlock()

	l.inPosts = true
	for _, f := range fs {
		f()
	}
	l.inPosts = false
	clear(fs)

	q.mu.Lock()
	q.spare = fs[:0]
	q.mu.Unlock()
	l.handler.TurnEnd()
}

// RequestTurnEnd implements Loop: a task of gnet runs after the events at hand.
func (l *gnetLoop) RequestTurnEnd() {
	if l.inPosts || l.turnEndAsked {
		return
	}
	l.turnEndAsked = true
	if err := l.events.Execute(context.Background(), l.turnEnd); err != nil {
		l.log.Error("schedule the end of a turn", "error", err)
	}
}

// pollLater has poll look at the connection.
func (l *gnetLoop) pollLater(c *gnetConn) {
	if !c.polled {
		c.polled = true
		c.seenTaken = c.taken()
		l.polled = append(l.polled, c)
	}
	if !l.pollArmed {
		l.pollDelay = pollDelayMin
		l.armPoll()
	}
}

// armPoll starts the timer of the next poll.
func (l *gnetLoop) armPoll() {
	l.pollArmed = true
	if l.pollTimer == nil {
		l.pollTimer = time.AfterFunc(l.pollDelay, func() { l.Post(l.poll) })
	} else {
		l.pollTimer.Reset(l.pollDelay)
	}
}

// poll looks at the connections that asked to be notified. Those that write without gnet
// need it once at most: they see what their clients take.
func (l *gnetLoop) poll() {
	progress := false
	looked := l.polled
	l.polled = nil
	for _, c := range looked {
		progress = c.poll() || progress
		if c.polled = c.phase != closed && c.phase != halfOpen && c.notify >= 0; c.polled {
			l.polled = append(l.polled, c)
		}
	}
	l.pollArmed = false
	if len(l.polled) == 0 {
		return
	}
	if l.pollDelay = min(2*l.pollDelay, pollDelayMax); progress {
		l.pollDelay = pollDelayMin
	}
	l.armPoll()
}

// poll tells the handler what the client has taken, and reports whether it has
// taken something.
func (c *gnetConn) poll() (progress bool) {
	taken := c.taken()
	progress = taken != c.seenTaken
	c.seenTaken = taken
	return c.notifyTaken() || progress
}

// notifyTaken tells the handler what it has asked to be told by NotifyOutbound, if that is
// so now, and reports whether it is.
func (c *gnetConn) notifyTaken() bool {
	if c.phase == closed || c.notify < 0 || c.Outbound() > c.notify {
		return false
	}
	c.notify = -1
	c.handler.Writable()
	return true
}
