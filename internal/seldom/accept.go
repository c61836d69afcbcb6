package seldom

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// retryDelay is how long accepting pauses after a failure, which usually means that the process
// has no descriptor left.
const retryDelay = 10 * time.Millisecond

// Acceptor accepts the connections of one listener, and goes on while the system hands none
// over. It logs that when it begins and once in a Period, and its end if it has logged the
// beginning. One goroutine uses it.
type Acceptor struct {
	Listener net.Listener
	Stop     <-chan struct{} // is closed when nobody wants connections any more
	Logger   *slog.Logger

	outage outage
}

// Accept returns the next connection; nil when the listener is closed, or Stop is.
func (a *Acceptor) Accept() net.Conn {
	for {
		conn, err := a.Listener.Accept()
		if err == nil {
			a.accepted()
			return conn
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if times, tell := a.outage.failed(err.Error(), time.Now()); tell {
			a.Logger.Error("cannot accept connections", "at", a.Listener.Addr().String(), "times", times, "error", err)
		}
		select {
		case <-a.Stop:
			return nil
		case <-time.After(retryDelay):
		}
	}
}

// accepted logs the end of an outage.
func (a *Acceptor) accepted() {
	if failures, lasted, tell := a.outage.over(); tell {
		a.Logger.Info("connections are accepted again", "at", a.Listener.Addr().String(), "failures", failures, "after", lasted.Round(time.Millisecond))
	}
}

// outage is a time in which all attempts fail. It ends with the first connection, which may
// come long after the last failure.
type outage struct {
	news        News[string]
	first, last time.Time // failures of it
	failures    int       // 0: there is none
	told        bool
}

// failed notes a failure, and reports whether to tell of it, and how many there were of it
// since somebody was told.
func (o *outage) failed(reason string, now time.Time) (times int, tell bool) {
	if o.failures == 0 {
		o.first = now
	}
	o.failures++
	o.last = now
	times, tell = o.news.Tell(reason, now)
	o.told = o.told || tell
	return times, tell
}

// over ends the outage, if there is one, and reports whether somebody was told of it, how many
// attempts have failed, and in which time.
func (o *outage) over() (failures int, lasted time.Duration, tell bool) {
	failures, lasted, tell = o.failures, o.last.Sub(o.first), o.told
	o.failures, o.told = 0, false
	return failures, lasted, tell
}

// Listener is a net.Listener that an Acceptor accepts for: Accept fails only when it is closed.
// One goroutine may call that at a time.
type Listener struct {
	net.Listener

	acceptor Acceptor
}

// NewListener returns one that accepts the connections of l.
func NewListener(l net.Listener, logger *slog.Logger) *Listener {
	return &Listener{Listener: l, acceptor: Acceptor{Listener: l, Logger: logger}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	if conn := l.acceptor.Accept(); conn != nil {
		return conn, nil
	}
	return nil, net.ErrClosed
}
