package server

import (
	"errors"
	"io"
	"os"

	"github.com/panjf2000/gnet/v2"

	"raftcached/protocol"
)

// handler receives gnet's events. Each is called on the goroutine of the event
// loop that the connection belongs to. A connection's context is its *conn, or a
// *probe while the server starts.
type handler struct {
	gnet.BuiltinEventEngine
	loops map[gnet.EventLoop]*loop // complete before the first *conn; read-only then
}

// OnOpen is called when an event loop begins to watch a connection.
func (h *handler) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	switch c := gc.Context().(type) {
	case *probe:
		c.events = gc.EventLoop()
		c.epollFD, c.err = checkPause(gc)
	case *conn:
		c.open(gc, h.loops[gc.EventLoop()])
	}
	return nil, gnet.None
}

// open binds the connection to its loop.
func (c *conn) open(gc gnet.Conn, l *loop) {
	c.loop = l
	c.gc, c.stream, c.fd = gc, gc, gc.Fd()
	c.parser = protocol.NewParser(l.options.ItemBytesMax)
	c.locked = l.options.Authenticator != nil
	c.need = 1
	c.activeSweep = l.sweeps
	l.conns[c] = struct{}{}
	if l.draining {
		c.shut()
	}
}

// OnTraffic is called when bytes of a connection arrived.
func (h *handler) OnTraffic(gc gnet.Conn) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok || c.closed {
		return gnet.None
	}
	c.received()
	return gnet.None
}

// received handles the input that has just arrived.
func (c *conn) received() {
	l := c.loop
	l.counters.add(bytesRead, c.stream.InboundBuffered()-c.seenInput)
	c.activeSweep = l.sweeps
	c.paused = false // it was read from, so gnet has resumed it if we had paused it
	if c.stopped && !c.closing {
		c.finishTurn()
	} else {
		c.serve()
	}
	l.counters.publish()
}

// OnClose is called when gnet closes a connection, for whatever reason.
func (h *handler) OnClose(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok || c.closed {
		return gnet.None
	}
	var read *os.SyscallError // gnet's end of input; a broken connection is a bare io.EOF
	ended := errors.Is(err, io.EOF) && errors.As(err, &read)
	if !ended || !c.linger() {
		c.loop.forget(c)
	}
	return gnet.None
}
