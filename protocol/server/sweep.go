package server

import "time"

// sweepsPerTimeout is the number of sweeps in the shortest timeout: timeouts are
// late by at most this fraction.
const sweepsPerTimeout = 8

// Sweeps are at least sweepPeriodMin and at most sweepPeriodMax apart.
const (
	sweepPeriodMin = 10 * time.Millisecond
	sweepPeriodMax = time.Second
)

// sweepPeriod returns the time between two sweeps; 0 if none are needed.
func (o *Options) sweepPeriod() time.Duration {
	shortest := o.IdleTimeout
	if o.PartialTimeout > 0 && (shortest == 0 || o.PartialTimeout < shortest) {
		shortest = o.PartialTimeout
	}
	if shortest <= 0 {
		return 0
	}
	return min(max(shortest/sweepsPerTimeout, sweepPeriodMin), sweepPeriodMax)
}

// Tick implements eventloop.LoopHandler: it closes connections that have been idle,
// or have not completed a command, for too long.
func (l *loop) Tick() {
	l.sweeps++
	period := l.options.sweepPeriod()
	idle, partial := sweepsOf(l.options.IdleTimeout, period), sweepsOf(l.options.PartialTimeout, period)
	for c := range l.conns.all() {
		if c.out.waiting > 0 {
			c.lookOutbound()
		}
		if c.answerDue() {
			c.activity.last = l.sweeps
		}
		if c.activity.last == l.sweeps {
			continue
		}
		switch {
		case idle > 0 && l.sweeps-c.activity.last > idle:
			l.log.Debug("close an idle connection", "remote", c.events.RemoteAddr())
			c.events.Close()
		case partial > 0 && c.activity.partial > 0 && l.sweeps-c.activity.partial > partial:
			l.log.Debug("close a connection whose command did not end", "remote", c.events.RemoteAddr())
			c.events.Close()
		}
	}
}

// sweepsOf returns the number of whole sweeps after which the timeout has
// certainly passed; 0 for no timeout.
func sweepsOf(timeout, period time.Duration) uint64 {
	if timeout <= 0 {
		return 0
	}
	return uint64((timeout + period - 1) / period)
}
