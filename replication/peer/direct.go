package peer

import (
	"bytes"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct writes to a connection what its socket has room for, and never waits. One
// goroutine may use it at a time, and none while another writes to the connection.
type direct struct {
	conn net.Conn
	raw  syscall.RawConn
	send func(fd uintptr) // made once: it would be allocated for each write

	buf     []byte // encoded
	written int
	err     error
}

// newDirect returns nil if the connection is not one of the kernel's.
func newDirect(conn net.Conn) *direct {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{conn: conn, raw: raw}
	d.send = func(fd uintptr) {
		for {
			d.written, d.err = unix.Write(int(fd), d.buf)
			if !errors.Is(d.err, unix.EINTR) {
				return
			}
		}
	}
	return d
}

// write writes a message and returns what there was no room for. If the connection has
// failed it closes it, so that its goroutines end.
func (d *direct) write(o *outgoing) (rest []byte) {
	if d.buf, d.err = o.append(d.buf[:0]); d.err != nil {
		_ = d.conn.Close()
		return nil
	}
	// Control does not wait for whom else uses the descriptor, and keeps it open.
	if err := d.raw.Control(d.send); err != nil {
		return nil // it is closed
	}
	switch {
	case errors.Is(d.err, unix.EAGAIN):
		return bytes.Clone(d.buf)
	case d.err != nil:
		_ = d.conn.Close()
		return nil
	case d.written < len(d.buf):
		return bytes.Clone(d.buf[d.written:])
	default:
		return nil
	}
}
