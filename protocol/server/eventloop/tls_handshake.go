package eventloop

import (
	"container/list"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"time"
)

// handshakeTimeDefault is how long a client may take for its handshake, in which it sends
// about 2 KiB in two parts.
const handshakeTimeDefault = 10 * time.Second

// handshakes are the connections that are not served yet, because their clients shake
// hands. Each has a goroutine. They count as connections, and the oldest gives way to a
// new connection if there are too many: so clients that never finish keep nobody out.
type handshakes struct {
	mu       sync.Mutex
	inFlight list.List // of net.Conn, the oldest first
	stopped  bool

	// computing has an element for each that computes, rather than waits for its client.
	// It has room for half of the processors, so that thousands of handshakes leave the
	// loops as much.
	computing chan struct{}
}

func newHandshakes() *handshakes {
	return &handshakes{computing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// add adds a connection, or closes it if there are to be no more.
func (h *handshakes) add(nc net.Conn) *list.Element {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		_ = nc.Close()
	}
	return h.inFlight.PushBack(nc)
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
	if oldest == nil {
		return false
	}
	_ = h.inFlight.Remove(oldest).(net.Conn).Close() // ends its handshake
	return true
}

// stop closes all, and those to come.
func (h *handshakes) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for e := h.inFlight.Front(); e != nil; e = e.Next() {
		_ = e.Value.(net.Conn).Close()
	}
}

// shakeHands gives a connection that was admitted to a loop once its handshake has
// succeeded. What fails is counted and logged, and closes it.
func (e *Engine) shakeHands(nc net.Conn, config *tls.Config) {
	inFlight := e.handshakes.add(nc)
	_ = nc.SetDeadline(time.Now().Add(e.config.HandshakeTimeout)) // it fails only if giveWay was quicker
	w := &wire{Conn: nc, computing: e.handshakes.computing}
	session := tls.Server(w, config)
	w.begin()
	err := session.Handshake()
	w.end()
	if !e.handshakes.remove(inFlight) && err == nil {
		err = net.ErrClosed
	}
	if err != nil {
		e.handshakeErrors.Add(1)
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
	net.Conn
	computing chan struct{}
	served    *tlsConn // nil: the client shakes hands
}

// begin and end enclose what computes in a handshake.
func (w *wire) begin() { w.computing <- struct{}{} }
func (w *wire) end()   { <-w.computing }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.served != nil {
		return w.served.readSealed(p)
	}
	w.end()
	defer w.begin()
	return w.Conn.Read(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.served != nil {
		return w.served.writeSealed(p)
	}
	w.end()
	defer w.begin()
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
