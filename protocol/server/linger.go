package server

import (
	"errors"
	"syscall"
)

// halfClosed is the stream of a connection whose client has ended its input
// while answers are due, as `printf 'set k 0 0 1\r\nv\r\n' | nc -N host port`
// does. gnet closes a connection at the end of its input; its descriptor,
// duplicated before, lives on here until the answers have left.
type halfClosed struct {
	fd  int
	in  []byte
	out []byte // not taken yet
	err error  // of the last write
}

// linger keeps the connection that gnet is about to close, if an answer is due.
func (c *conn) linger() bool {
	if !c.awaiting() && !c.stopped || c.stream.OutboundBuffered() > 0 {
		return false
	}
	input, err := c.stream.Peek(-1)
	if err != nil {
		return false
	}
	fd, err := syscall.Dup(c.fd)
	if err != nil {
		return false
	}
	syscall.CloseOnExec(fd)
	c.stream = &halfClosed{fd: fd, in: append([]byte(nil), input...)}
	c.gc, c.fd = nil, -1
	c.outbound = 0
	if !c.eof {
		c.endInput()
	}
	return true
}

// Peek implements stream.
func (h *halfClosed) Peek(n int) ([]byte, error) {
	if n <= 0 || n > len(h.in) {
		n = len(h.in)
	}
	return h.in[:n], nil
}

// Discard implements stream.
func (h *halfClosed) Discard(n int) (int, error) {
	if n <= 0 || n > len(h.in) {
		n = len(h.in)
	}
	h.in = h.in[n:]
	return n, nil
}

// InboundBuffered implements stream.
func (h *halfClosed) InboundBuffered() int { return len(h.in) }

// OutboundBuffered implements stream.
func (h *halfClosed) OutboundBuffered() int { return len(h.out) }

// Write implements stream.
func (h *halfClosed) Write(p []byte) (int, error) {
	h.out = append(h.out, p...)
	h.drain()
	return len(p), h.err
}

// drain sends what the client takes. After an error nothing is left to send.
func (h *halfClosed) drain() {
	for len(h.out) > 0 {
		n, err := syscall.Write(h.fd, h.out)
		switch {
		case err == nil:
			h.out = h.out[n:]
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return
		default:
			h.err, h.out = err, nil
		}
	}
}

// close closes the connection.
func (h *halfClosed) close() { _ = syscall.Close(h.fd) }
