package eventloop

import (
	"container/list"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"raftcached/internal/handshake"
)

// handshakeTimeDefault is how long a client may take for its handshake, in which it sends
// about 2 KiB in two parts.
const handshakeTimeDefault = 10 * time.Second

// handshakes are the connections that are not served yet, because their clients shake
// hands. Each has a goroutine. They count as connections, and the oldest gives way to a
// new connection if there are too many: so clients that never finish keep nobody out.
type handshakes struct {
	mu       sync.Mutex
	inFlight list.List // of *wire, the oldest first
	stopped  bool
}

// add adds a connection, or closes it if there are to be no more.
func (h *handshakes) add(w *wire) *list.Element {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		w.giveUp()
		return new(list.Element) // of no list
	}
	return h.inFlight.PushBack(w)
}

// remove removes a connection whose handshake is over, and reports whether it may be
// served: it has neither given way, nor come when there were to be no more.
func (h *handshakes) remove(e *list.Element) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.inFlight.Len()
	h.inFlight.Remove(e) // it does nothing to one that giveWay has removed
	return h.inFlight.Len() < before && !h.stopped
}

// giveWay closes the oldest, and reports whether there was one.
func (h *handshakes) giveWay() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := h.inFlight.Front()
	if h.stopped || oldest == nil { // stop has closed them, and their goroutines end
		return false
	}
	h.inFlight.Remove(oldest).(*wire).giveUp()
	return true
}

// stop closes all, and those to come.
func (h *handshakes) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	h.stopped = true
	for e := h.inFlight.Front(); e != nil; e = e.Next() {
		e.Value.(*wire).giveUp()
	}
}

// startHandshake begins the handshake of a connection that was admitted.
func (e *Engine) startHandshake(nc net.Conn, config *tls.Config) {
	w := &wire{Conn: e.config.Handshakes.Conn(nc)}
	inFlight := e.handshakes.add(w) // before the next connection looks for one that gives way
	e.accepting.Go(func() { e.shakeHands(w, inFlight, config) })
}

// shakeHands gives a connection to a loop once its handshake has succeeded. What fails is
// counted and logged, and closes it.
func (e *Engine) shakeHands(w *wire, inFlight *list.Element, config *tls.Config) {
	nc := w.Conn.Conn
	_ = nc.SetDeadline(time.Now().Add(e.config.HandshakeTimeout)) // it fails only if giveWay was quicker
	session := tls.Server(w, config)
	err := session.Handshake() // begins with a read
	w.Over()
	if !e.handshakes.remove(inFlight) && err == nil {
		err = net.ErrClosed
	}
	e.shaken.Count(err)
	if err != nil {
		e.config.Logger.Debug("shake hands with a client", "remote", nc.RemoteAddr().String(), "error", err)
		_ = nc.Close()
		e.connClosed()
		return
	}
	e.watch(nc, &tlsConn{session: session, wire: w})
}

// wire is what a session reads from and writes to: the socket while its client shakes
// hands, and the connection of an event loop after that.
type wire struct {
	*handshake.Conn
	served *tlsConn // nil: the client shakes hands
}

// giveUp ends the handshake, wherever it is: also if it waits until it may compute.
func (w *wire) giveUp() { _ = w.Close() }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.served != nil {
		return w.served.readSealed(p)
	}
	return w.Conn.Read(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.served != nil {
		return w.served.writeSealed(p)
	}
	return w.Conn.Write(p)
}

// SetWriteDeadline implements net.Conn: an event loop never waits.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.served != nil {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}

// notYetError is the error of a read for which nothing has arrived. A session that gets it
// goes on with the next read: it is temporary.
type notYetError struct{}

func (notYetError) Error() string   { return "no input has arrived yet" }
func (notYetError) Timeout() bool   { return true }
func (notYetError) Temporary() bool { return true }
