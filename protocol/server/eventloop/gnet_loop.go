package eventloop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Polls look at the connections whose clients do not take their output, because
// gnet does not report when they do. They come faster while there is progress.
const (
	pollDelayMin = time.Millisecond
	pollDelayMax = 50 * time.Millisecond
)

// turnsMax is how many turns in a row posts may have when there are events, too.
const turnsMax = 16

// gnetLoop is a Loop on an event loop of gnet. All of it but posts belongs to the
// loop's goroutine.
type gnetLoop struct {
	handler LoopHandler
	log     *slog.Logger
	*probe  // what it has of gnet's loop

	load     atomic.Int64           // connections, and those on their way
	half     map[*gnetConn]struct{} // connections in phase halfOpen
	outgoing map[*gnetConn]struct{} // connections whose client may not have taken all from gnet yet
	spare    []byte                 // mapped, for the next hoard; nil: none
	tls      tlsLoop

	polled    []*gnetConn // to be looked at by poll
	pollTimer *time.Timer
	pollArmed bool
	pollDelay time.Duration

	task         gnet.Runnable // runs endTurn
	tasked       bool          // it is on its way, or runs
	turnEndAsked bool
	waived       bool // until what giveWay has written arrives

	rested     time.Time // when it has waited last
	yieldAfter time.Duration

	posts postQueue
}

// postQueue carries functions to the loop's goroutine: many posts cost one task
// of gnet, or none if the loop sleeps.
type postQueue struct {
	mu     sync.Mutex
	queued []func() // with the first of them the loop was woken, or a task asked for
	closed bool     // set before gnet's pollers are closed: gnet would write to a closed descriptor
	spare  []func()
}

// yieldAfter is how long a loop goes on without having waited. One whose clients have the next
// request ready before it has written the last answer never waits: others would not hear of
// their input, see package yield.
const yieldAfter = 500 * time.Microsecond

// newGnetLoop returns the loop that a probe has found.
func newGnetLoop(p *probe, log *slog.Logger) *gnetLoop {
	l := &gnetLoop{
		log: log, probe: p, yieldAfter: yieldAfter,
		half: make(map[*gnetConn]struct{}), outgoing: make(map[*gnetConn]struct{}),
	}
	l.task = gnet.RunnableFunc(func(context.Context) error {
		l.endTurn()
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
	if len(q.queued) == 1 && !l.sleeper.wake() {
		l.execute()
	}
}

// execute has gnet call endTurn, after the events at hand.
func (l *gnetLoop) execute() {
	if err := l.events.Execute(context.Background(), l.task); err != nil {
		l.log.Error("wake an event loop", "error", err)
	}
}

// empty reports whether nothing was posted that has not begun.
func (q *postQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queued) == 0
}

// closePosts drops what is posted from now on.
func (l *gnetLoop) closePosts() {
	l.posts.mu.Lock()
	defer l.posts.mu.Unlock()
	l.posts.closed = true
}

// RequestTurnEnd implements Loop.
func (l *gnetLoop) RequestTurnEnd() {
	l.turnEndAsked = true
	l.afterEvents()
}

// afterEvents has the loop sleep after the events at hand, and do before what is to be done
// at the end of a turn. Every event asks for it: see gnet_sleep.go.
func (l *gnetLoop) afterEvents() {
	if !l.tasked {
		l.tasked = true
		l.execute()
	}
}

// endTurn runs what was posted, ends the turn, and sleeps until there are events. What is
// posted meanwhile is a turn of its own.
func (l *gnetLoop) endTurn() {
	l.tasked = true
	for turns := 1; !l.waived; turns++ {
		if l.runPosts() || l.turnEndAsked {
			l.turnEndAsked = false
			l.handler.TurnEnd()
		}
		if !l.turnEndAsked && !l.sleep() {
			break
		}
		if turns%turnsMax == 0 {
			l.giveWay()
		}
	}
	l.tasked = false
}

// giveWay has the loop leave its turns until gnet has handled the events at hand, if there
// are some, or somebody bars it from sleeping. gnet runs tasks as long as there are any: that
// it does not find the next turns among them is what waived is for.
func (l *gnetLoop) giveWay() {
	if l.sleeper.barred() || hasEvents(uintptr(l.epollFD)) {
		l.waived = l.sendNudge()
	}
}

// runPosts runs what was posted before it started, and reports whether there was something.
func (l *gnetLoop) runPosts() bool {
	q := &l.posts
	q.mu.Lock()
	if len(q.queued) == 0 {
		q.mu.Unlock()
		return false
	}
	fs := q.queued
	q.queued, q.spare = q.spare, nil
	q.mu.Unlock()
	for _, f := range fs {
		f()
	}
	clear(fs)

	q.mu.Lock()
	q.spare = fs[:0]
	q.mu.Unlock()
	return true
}

// sleep waits until gnet has events, and reports whether there is something else to be
// done before gnet looks for them.
func (l *gnetLoop) sleep() (again bool) {
	runtime.Gosched() // what the turn has given to others goes first, and may bring posts
	events, waited := l.sleeper.sleep(l.posts.empty)
	if !waited && time.Since(l.rested) >= l.yieldAfter {
		l.yielder.Yield()
		waited = true
	}
	if waited {
		l.rested = time.Now()
	}
	if !l.posts.empty() {
		return true
	}
	if !events {
		return !l.sleeper.barred()
	}
	l.nudge()
	return false
}

// nudge makes sure that a turn follows although gnet tells nobody when it writes what a
// client has left.
func (l *gnetLoop) nudge() {
	for c := range l.outgoing {
		if c.phase == watched && c.socket.OutboundBuffered() > 0 {
			l.sendNudge()
			return
		}
		delete(l.outgoing, c)
	}
}

// sendNudge has a byte arrive at a connection of the loop's own, and reports whether one
// will.
func (l *gnetLoop) sendNudge() bool {
	_, err := syscall.Write(l.nudgeFD, []byte{0})
	return err == nil || errors.Is(err, syscall.EAGAIN) // it is full of them
}

// nudged is called when the byte has arrived.
func (l *gnetLoop) nudged() {
	l.waived = false
	l.afterEvents()
}

// enroll gives a connection to gnet, and returns when the loop has opened it, or not. The
// task that opens it wakes nobody if one of gnet's tasks runs, which is so while the loop
// sleeps.
func (l *gnetLoop) enroll(nc net.Conn, c *gnetConn) error {
	l.sleeper.bar()
	enrolled, err := l.events.Enroll(gnet.NewContext(context.Background(), c), nc)
	if err != nil {
		_ = nc.Close()
	} else {
		err = (<-enrolled).Err
	}
	if c.loop == nil { // else opened has done so
		l.sleeper.unbar()
		l.Post(func() {}) // it may wait in gnet
	}
	return err
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
