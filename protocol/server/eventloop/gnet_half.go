package eventloop

import (
	"errors"
	"syscall"
)

// halfConn is a connection whose client has ended its input and may still read,
// as `printf 'set k 0 0 1\r\nv\r\n' | nc -N host port` does. gnet closes a
// connection at the end of its input, so its descriptor is duplicated before.
// Nothing watches the duplicate: the loop's poll writes to it.
type halfConn struct {
	fd  int
	in  []byte // not discarded yet
	out []byte // not taken yet
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
// reports false, and the connection has closed, if there is no descriptor.
func (c *gnetConn) keepHalf() bool {
	fd, err := syscall.Dup(c.socket.Fd())
	if err != nil {
		c.loop.log.Error("keep a connection whose input has ended", "remote", c.remote, "error", err)
		c.reportClosed()
		return false
	}
	syscall.CloseOnExec(fd)
	c.half = halfConn{fd: fd, in: append([]byte(nil), c.Peek()...)}
	c.hoard.leave(c.loop)
	c.phase, c.socket = halfOpen, nil
	c.loop.half[c] = struct{}{}
	return true
}

// writeHalf sends what the client takes, and leaves the rest to the loop's poll.
func (c *gnetConn) writeHalf() {
	for len(c.half.out) > 0 {
		n, err := syscall.Write(c.half.fd, c.half.out)
		switch {
		case err == nil:
			c.half.out = c.half.out[n:]
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			c.loop.pollLater(c)
			return
		default:
			c.Close()
			return
		}
	}
}
