//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// drainTimeout is how long the replies of the last bursts may take.
const drainTimeout = 10 * time.Second

// epollWaitMs is how late a thread may notice the end of its run while no events
// arrive.
const epollWaitMs = 20

// latencyMax is the highest latency that is told from higher ones.
const latencyMax = time.Minute

// Result is the result of one target in one run.
type Result struct {
	Ops          int64 // replies within the run, errors included
	Elapsed      time.Duration
	Hits, Misses int64
	Errors       int64
	FirstError   string                  // the reply
	Gap          time.Duration           // longest time without a reply on any connection
	Unanswered   int64                   // with a rate: requests that were due within the run and not answered in it; latencies count them as far as they waited
	Gets, Sets   *hdrhistogram.Histogram // latency in nanoseconds
}

func newResult() *Result {
	histogram := func() *hdrhistogram.Histogram {
		return hdrhistogram.New(int64(time.Microsecond), int64(latencyMax), 3)
	}
	return &Result{Gets: histogram(), Sets: histogram()}
}

// add merges the result of another thread, or of another round.
func (r *Result) add(o *Result) {
	r.Ops += o.Ops
	r.Hits += o.Hits
	r.Misses += o.Misses
	r.Errors += o.Errors
	if r.FirstError == "" {
		r.FirstError = o.FirstError
	}
	r.Gap = max(r.Gap, o.Gap)
	r.Unanswered += o.Unanswered
	r.Gets.Merge(o.Gets)
	r.Sets.Merge(o.Sets)
}

// Rate returns replies per second.
func (r *Result) Rate() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// Latency returns the histogram of all requests, in nanoseconds.
func (r *Result) Latency() *hdrhistogram.Histogram {
	all := hdrhistogram.Import(r.Gets.Export())
	all.Merge(r.Sets)
	return all
}

// loop is one thread of the generator.
type loop struct {
	epoll  int
	conns  map[int32]*conn // by descriptor
	source source
	depth  int
	result *Result
	active int // connections with an unanswered burst
	now    time.Time

	answered *lastAnswer
	pace     *pace // nil: a burst follows the one before
}

// lastAnswer is when any thread read a reply, in nanoseconds of Unix time.
type lastAnswer struct{ at atomic.Int64 }

// note notes replies at now and returns for how long there were none.
func (a *lastAnswer) note(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - a.at.Swap(now.UnixNano()))
}

func newLoop(s source, depth int, answered *lastAnswer) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &loop{epoll: epoll, conns: map[int32]*conn{}, source: s, depth: depth, result: newResult(), answered: answered}, nil
}

// connect adds a connection.
func (l *loop) connect(addr string, d Dialect) error {
	c, err := dial(addr, d)
	if err != nil {
		return err
	}
	l.conns[int32(c.fd)] = c
	return l.watch(c, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN)
}

func (l *loop) watch(c *conn, operation int, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(c.fd)}
	if err := syscall.EpollCtl(l.epoll, operation, c.fd, &event); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

// close closes all connections.
func (l *loop) close() {
	for fd := range l.conns {
		_ = syscall.Close(int(fd)) // nothing is left to read or write
	}
	if l.pace != nil {
		_ = syscall.Close(l.pace.timer) // nobody waits for it
	}
	_ = syscall.Close(l.epoll) // nothing is left to wait for
}

// run sends bursts until the deadline or until the source is empty, and then waits
// for the outstanding replies. Only replies before the deadline are counted.
func (l *loop) run(ctx context.Context, deadline time.Time) error {
	start := time.Now()
	l.now = start
	for _, c := range l.conns {
		if err := l.next(c); err != nil {
			return err
		}
	}
	events := make([]syscall.EpollEvent, 128)
	for l.active > 0 || l.pace != nil && l.now.Before(deadline) {
		n, err := syscall.EpollWait(l.epoll, events, epollWaitMs)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for replies: %w", err)
		}
		l.now = time.Now()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.now.After(deadline.Add(drainTimeout)) {
			return fmt.Errorf("wait for replies: %d connections had none for %v", l.active, drainTimeout)
		}
		for i := range max(n, 0) {
			c := l.conns[events[i].Fd]
			if c == nil {
				continue // the timer of the pace
			}
			if err := l.serve(c, events[i].Events, l.now.Before(deadline)); err != nil {
				return err
			}
		}
		if l.now.Before(deadline) {
			l.result.Elapsed = l.now.Sub(start)
			if err := l.sendDue(); err != nil {
				return err
			}
		}
	}
	l.end(start, deadline)
	return nil
}

// end counts what is known at the deadline only.
func (l *loop) end(start, deadline time.Time) {
	if l.pace != nil {
		l.result.Elapsed = deadline.Sub(start)
		l.countUnanswered(deadline)
	}
	if l.now.After(deadline) {
		l.result.Gap = max(l.result.Gap, time.Duration(deadline.UnixNano()-l.answered.at.Load()))
	}
}

// next sends the next burst of a connection that is free, or keeps it until one is due.
func (l *loop) next(c *conn) error {
	if l.pace == nil {
		return l.burst(c, l.now)
	}
	l.pace.free = append(l.pace.free, c)
	return nil
}

// burst sends the next burst of a connection, if there is one.
func (l *loop) burst(c *conn, due time.Time) error {
	if !c.fill(l.source, l.depth) {
		return nil
	}
	l.active++
	c.due = due
	return l.flush(c)
}

// flush writes a burst. If the socket buffer is full, epoll reports when to continue.
func (l *loop) flush(c *conn) error {
	whole, err := c.flush()
	if err == nil && !whole {
		err = l.watch(c, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN|syscall.EPOLLOUT)
	}
	return err
}

// serve handles one event. While counted is set, replies are counted and each burst is
// followed by the next.
func (l *loop) serve(c *conn, events uint32, counted bool) error {
	if events&syscall.EPOLLOUT != 0 {
		if err := l.watch(c, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN); err != nil {
			return err
		}
		if err := l.flush(c); err != nil {
			return err
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	if err := c.read(); err != nil {
		return err
	}
	latency, some := l.now.Sub(c.due), false
	err := c.replies(func(isGet bool, o outcome, reply []byte) {
		some = true
		if counted {
			l.result.count(isGet, o, reply, latency)
		} else if l.pace != nil {
			l.pace.late = append(l.pace.late, late{c.due, isGet})
		}
	})
	if some && counted {
		l.result.Gap = max(l.result.Gap, l.answered.note(l.now))
	}
	if err != nil || c.pending > 0 {
		return err
	}
	l.active--
	if !counted {
		return nil
	}
	return l.next(c)
}

// count counts one reply.
func (r *Result) count(isGet bool, o outcome, reply []byte, latency time.Duration) {
	r.countLatency(isGet, latency)
	r.Ops++
	switch o {
	case hit:
		r.Hits++
	case miss:
		r.Misses++
	case failed:
		if r.Errors++; r.FirstError == "" {
			r.FirstError = string(reply)
		}
	case done:
	}
}

// countLatency counts a latency, or the highest that a histogram takes.
func (r *Result) countLatency(isGet bool, latency time.Duration) {
	histogram := r.Sets
	if isGet {
		histogram = r.Gets
	}
	_ = histogram.RecordValue(int64(min(latency, latencyMax))) // it is in the range
}
