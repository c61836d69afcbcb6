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
	inFlight list.List // of *wire, the oldest first
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
	w := &wire{Conn: nc, computing: e.handshakes.computing, gone: make(chan struct{})}
	inFlight := e.handshakes.add(w) // before the next connection looks for one that gives way
	e.accepting.Go(func() { e.shakeHands(w, inFlight, config) })
}

// shakeHands gives a connection to a loop once its handshake has succeeded. What fails is
// counted and logged, and closes it.
func (e *Engine) shakeHands(w *wire, inFlight *list.Element, config *tls.Config) {
	nc := w.Conn
	_ = nc.SetDeadline(time.Now().Add(e.config.HandshakeTimeout)) // it fails only if giveWay was quicker
	session := tls.Server(w, config)
	err := session.Handshake() // begins with a read
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
	computing chan struct{} // of handshakes
	holds     bool          // an element of computing is this one's
	gone      chan struct{} // closed by giveUp
	served    *tlsConn      // nil: the client shakes hands
}

// giveUp ends the handshake, wherever it is. It is called once, with handshakes.mu held.
func (w *wire) giveUp() {
	close(w.gone)
	_ = w.Close() // a read or a write that waits fails
}

// begin waits until the handshake may compute. It fails if it is not to go on: so one
// that has given way ends although many others compute.
func (w *wire) begin() error {
	select {
	case w.computing <- struct{}{}:
		w.holds = true
		return nil
	case <-w.gone:
		return net.ErrClosed
	}
}

// goOn is begin after what has waited for the client, whose error goes first.
func (w *wire) goOn(err error) error {
	if failed := w.begin(); err == nil {
		return failed
	}
	return err
}

// end lets another one compute.
func (w *wire) end() {
	if w.holds {
		w.holds = false
		<-w.computing
	}
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.served != nil {
		return w.served.readSealed(p)
	}
	w.end()
	n, err := w.Conn.Read(p)
	return n, w.goOn(err)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.served != nil {
		return w.served.writeSealed(p)
	}
	w.end()
	n, err := w.Conn.Write(p)
	return n, w.goOn(err)
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
