package eventloop

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// halfWriteBytesMax is how much output of a connection whose input has ended is given to the
// goroutine that waits for its client at a time.
const halfWriteBytesMax = 64 << 10

// halfConn is a connection whose client has ended its input and may still read,
// as `printf 'set k 0 0 1\r\nv\r\n' | nc -N host port` does. gnet closes a
// connection at the end of its input, so its descriptor is duplicated before.
//
// gnet cannot watch the duplicate: it would read from it, and close it again. So what the
// client does not take at once is written by a goroutine, for which Go's own poller waits. It
// is there only as long as the client does not read.
type halfConn struct {
	fd     int
	in     []byte   // not discarded yet
	out    []byte   // not taken yet
	file   *os.File // of fd, once a goroutine has written; nil: none has
	writes bool     // a goroutine is writing the first of out
}

// inputEnded tells the handler of the end of input, and keeps the connection if
// it was not closed then. gnet closes its own descriptor after that.
func (c *gnetConn) inputEnded() {
	c.phase = ending
	c.handler.InputEnded()
	if c.phase == ending {
		c.keepHalf()
	}
}

// keepHalf moves a connection that gnet is closing to a descriptor of its own. It
// reports false, and the connection has closed, if there is no descriptor. Its input is copied
// as it lies: Peek could close the connection, for want of memory that is mapped.
func (c *gnetConn) keepHalf() bool {
	fd, err := syscall.Dup(c.socket.Fd())
	if err != nil {
		c.engine.refusals.Error("keep a connection whose input has ended", "remote", c.remote, "error", err)
		c.reportClosed()
		return false
	}
	syscall.CloseOnExec(fd)
	rest, _ := c.socket.Peek(-1) // behind the hoard; it fails only if it is asked for more than there is
	c.half = halfConn{fd: fd, in: slices.Concat(c.hoard.bytes(), rest)}
	c.hoard.leave(c.loop)
	c.phase, c.socket = halfOpen, nil
	c.loop.half[c] = struct{}{}
	return true
}

// writeHalf sends what the client takes at once. A goroutine waits until it takes more.
func (c *gnetConn) writeHalf() {
	h := &c.half
	for len(h.out) > 0 && !h.writes {
		n, err := syscall.Write(h.fd, h.out)
		switch {
		case err == nil:
			h.out = h.out[n:]
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			c.writeHalfLater()
		default:
			c.Close()
			return
		}
	}
}

// writeHalfLater has a goroutine write the first of the output. It leaves that slice alone
// otherwise: the loop only appends to what is behind.
func (c *gnetConn) writeHalfLater() {
	h := &c.half
	if h.file == nil {
		h.file = os.NewFile(uintptr(h.fd), "half-closed connection") // it does not block, and so Go's poller takes it
	}
	h.writes = true
	file, first := h.file, h.out[:min(len(h.out), halfWriteBytesMax)]
	go func() {
		n, err := file.Write(first)
		c.loop.Post(func() { c.halfTaken(n, err) })
	}()
}

// halfTaken goes on when a client has taken n bytes, or never will.
func (c *gnetConn) halfTaken(n int, err error) {
	if c.phase != halfOpen {
		return
	}
	c.half.writes = false
	c.half.out = c.half.out[n:]
	if err != nil {
		c.Close()
		return
	}
	c.writeHalf()
	c.notifyTaken()
}

// close closes the descriptor. A goroutine that writes ends by that; nobody waits for it.
func (h *halfConn) close() {
	switch {
	case h.file == nil:
		_ = syscall.Close(h.fd)
	case h.writes:
		go func(f *os.File) { _ = f.Close() }(h.file)
	default:
		_ = h.file.Close()
	}
}
