package eventloop

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

// gnetEvents receives gnet's events. Each is called on the goroutine of the event
// loop that the connection belongs to. A connection's context is its *gnetConn,
// or a *probe while the loops start.
type gnetEvents struct {
	gnet.BuiltinEventEngine
	loops *gnetLoops
}

// OnOpen is called when an event loop begins to watch a connection.
func (h *gnetEvents) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	switch c := gc.Context().(type) {
	case *probe:
		c.events = gc.EventLoop()
		c.epollFD, c.err = checkPause(gc)
	case *gnetConn:
		c.opened(gc, h.loops.byGnet[gc.EventLoop()])
	}
	return nil, gnet.None
}

// OnTraffic is called when bytes of a connection arrived.
func (h *gnetEvents) OnTraffic(gc gnet.Conn) gnet.Action {
	switch c := gc.Context().(type) {
	case *probe:
		c.traffic(gc)
	case *gnetConn:
		if c.phase != watched {
			break
		}
		c.loop.afterEvents()
		c.handler.Readable()
		if c.phase == watched {
			c.keepInput()
		}
		if c.paused { // gnet resumes reading when the last of the output left
			c.watch()
		}
	}
	return gnet.None
}

// OnClose is called when gnet closes a connection, for whatever reason.
func (h *gnetEvents) OnClose(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*gnetConn)
	if !ok || c.phase != watched {
		return gnet.None
	}
	c.loop.afterEvents()
	var read *os.SyscallError // gnet's end of input; a broken connection is a bare io.EOF
	ended := errors.Is(err, io.EOF) && errors.As(err, &read)
	if ended && gc.OutboundBuffered() == 0 {
		c.inputEnded()
	} else {
		c.reportClosed()
	}
	return gnet.None
}

// phase is how far a gnetConn has come.
type phase uint8

const (
	unopened phase = iota // no loop has it yet
	watched               // gnet has it
	ending                // gnet is closing it because its input has ended; InputEnded is running
	halfOpen              // its input has ended and gnet has closed it; half has it
	closed                // not open any more
)

// gnetConn is a Conn on a connection of gnet.
type gnetConn struct {
	engine  *Engine
	loop    *gnetLoop
	handler Handler
	secure  *tlsConn // what decrypts it, and is its handler then; nil: it is not encrypted
	remote  string
	local   string
	phase   phase

	socket gnet.Conn // in phases watched and ending
	half   halfConn  // in phase halfOpen
	hoard  hoard     // in phases watched and ending: what comes before gnet's input

	watching uint32 // events that the epoll set reports, as last known
	paused   bool   // Pause was called last, not Resume

	// What the loop's poll needs: see gnetLoop.poll.
	notify    int    // limit of NotifyOutbound; -1 if it is not asked
	polled    bool   // in gnetLoop.polled
	written   uint64 // bytes given to Write
	seenTaken uint64 // bytes of them that the client had taken at the last poll
}

// opened binds the connection to its loop.
func (c *gnetConn) opened(gc gnet.Conn, l *gnetLoop) {
	c.loop, c.socket, c.phase = l, gc, watched
	c.watching = readEvents
	l.sleeper.unbar() // see enroll
	l.afterEvents()
	if c.secure != nil {
		c.handler = c.secure.open(c, l)
	} else {
		c.handler = l.handler.Open(c)
	}
}

// reportClosed tells the handler and the engine that the connection has closed.
func (c *gnetConn) reportClosed() {
	c.phase, c.socket, c.half = closed, nil, halfConn{}
	c.hoard.leave(c.loop)
	delete(c.loop.half, c)
	delete(c.loop.outgoing, c)
	c.loop.load.Add(-1)
	c.handler.Closed()
	c.engine.connClosed()
}

// FD implements Conn.
func (c *gnetConn) FD() int {
	switch c.phase {
	case watched, ending:
		return c.socket.Fd()
	case halfOpen:
		return c.half.fd
	default:
		return -1
	}
}

// RemoteAddr implements Conn.
func (c *gnetConn) RemoteAddr() string { return c.remote }

// LocalAddr implements Conn.
func (c *gnetConn) LocalAddr() string { return c.local }

// Peek implements Conn.
func (c *gnetConn) Peek() []byte {
	switch c.phase {
	case watched, ending:
		if c.hoard.n > 0 {
			c.keepInput()
			return c.hoard.bytes()
		}
		input, _ := c.socket.Peek(-1) // it fails only if it is asked for more than there is
		return input
	default:
		return c.half.in
	}
}

// Discard implements Conn.
func (c *gnetConn) Discard(n int) {
	switch {
	case n == 0: // gnet would drop everything
	case c.hoard.n > 0:
		c.keepInput()
		c.hoard.discard(n, c.loop)
	case c.phase == watched, c.phase == ending:
		_, _ = c.socket.Discard(n) // never fails
	default:
		c.half.in = c.half.in[min(n, len(c.half.in)):]
	}
}

// Buffered implements Conn.
func (c *gnetConn) Buffered() int {
	switch c.phase {
	case watched, ending:
		return c.hoard.n + c.socket.InboundBuffered()
	default:
		return len(c.half.in)
	}
}

// taken returns how many of the bytes given to Write the client has taken.
func (c *gnetConn) taken() uint64 { return c.written - uint64(c.Outbound()) }

// Outbound implements Conn.
func (c *gnetConn) Outbound() int {
	switch c.phase {
	case watched, ending:
		return c.socket.OutboundBuffered()
	default:
		return len(c.half.out)
	}
}

// Write implements Conn.
func (c *gnetConn) Write(p []byte) {
	if c.phase == ending && !c.keepHalf() {
		return
	}
	c.written += uint64(len(p))
	switch {
	case len(p) == 0:
	case c.phase == watched:
		waited := c.watching == syscall.EPOLLOUT && c.socket.OutboundBuffered() > 0
		if _, err := c.socket.Write(p); err != nil {
			c.Close() // gnet has closed it, as a rule
			return
		}
		if !waited && c.socket.OutboundBuffered() > 0 {
			c.loop.outgoing[c] = struct{}{}
			c.watching = readEvents | syscall.EPOLLOUT // as gnet has just set them
			c.watch()
		}
	case c.phase == halfOpen:
		c.half.out = append(c.half.out, p...)
		c.writeHalf()
	}
}

// NotifyOutbound implements Conn.
func (c *gnetConn) NotifyOutbound(limit int) {
	c.notify = limit
	switch c.phase {
	case closed:
	case halfOpen:
		c.loop.Post(func() { c.notifyTaken() })
	default:
		c.loop.pollLater(c)
	}
}

// Pause implements Conn.
func (c *gnetConn) Pause() {
	c.paused = true
	c.watch()
}

// Resume implements Conn.
func (c *gnetConn) Resume() {
	c.paused = false
	if c.watching != readEvents {
		c.watch()
	}
}

// Close implements Conn.
func (c *gnetConn) Close() {
	switch c.phase {
	case watched:
		_ = c.socket.EventLoop().Close(c.socket) // calls OnClose; an error says that the descriptor was gone already
	case ending:
		c.reportClosed() // gnet closes the descriptor
	case halfOpen:
		c.half.close()
		c.reportClosed()
	}
}
