//go:build linux

package bench

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pace makes a loop open: bursts are due at fixed times. Each is sent by a connection
// that is free, and waits until one is.
type pace struct {
	next  time.Time     // when the next burst is due
	gap   time.Duration // between two bursts
	timer int           // descriptor of the timer that is set to next
	free  []*conn       // connections without an unanswered burst
	late  []late        // replies after the deadline
	gets  bool          // what is not sent in time counts as gets: most requests are
}

// late is a request whose reply came after the deadline.
type late struct {
	due   time.Time
	isGet bool
}

// setRate makes bursts of the loop due: rate requests a second from start on. Of n
// loops with the same rate, this is number i.
func (l *loop) setRate(rate float64, start time.Time, i, n int) error {
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create timer: %w", err)
	}
	gap := time.Duration(float64(l.depth) / rate * float64(time.Second))
	l.pace = &pace{next: start.Add(gap * time.Duration(i) / time.Duration(n)), gap: max(gap, 1), timer: timer}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(timer)}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, timer, &event); err != nil {
		return fmt.Errorf("watch timer: %w", err)
	}
	return l.pace.setTimer(start)
}

// setTimer makes the timer fire when the next burst is due. This also ends its firing
// for the one before.
func (p *pace) setTimer(now time.Time) error {
	wait := max(p.next.Sub(now), 1)
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	if err := unix.TimerfdSettime(p.timer, 0, &at, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// sendDue sends the bursts that are due, as far as connections are free.
func (l *loop) sendDue() error {
	p := l.pace
	if p == nil {
		return nil
	}
	for !p.next.After(l.now) && len(p.free) > 0 {
		c := p.free[0]
		p.free = append(p.free[:0], p.free[1:]...)
		if err := l.burst(c, p.next); err != nil {
			return err
		}
		p.next = p.next.Add(p.gap)
	}
	if p.next.After(l.now) {
		return p.setTimer(l.now)
	}
	return p.silence()
}

// silence ends the firing of the timer: a reply will free a connection.
func (p *pace) silence() error {
	var count [8]byte
	if _, err := syscall.Read(p.timer, count[:]); err != nil && !errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("read timer: %w", err)
	}
	return nil
}

// countUnanswered counts the requests that were due before the deadline and had no
// reply by then, as far as they waited: a pause at the end must not go unnoticed.
func (l *loop) countUnanswered(deadline time.Time) {
	p := l.pace
	for _, r := range p.late {
		l.result.countLatency(r.isGet, deadline.Sub(r.due))
	}
	l.result.Unanswered = int64(len(p.late))
	for ; p.next.Before(deadline); p.next = p.next.Add(p.gap) {
		for range l.depth {
			l.result.countLatency(p.gets, deadline.Sub(p.next))
		}
		l.result.Unanswered += int64(l.depth)
	}
}
