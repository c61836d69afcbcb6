//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// replyBytesMin is the initial size of a connection's reply buffer. The buffer grows
// for larger replies.
const replyBytesMin = 64 << 10

// conn is one connection: its current burst, and the replies received so far.
type conn struct {
	fd      int
	addr    string
	out     []byte // the burst
	written int    // how much of out is written
	in      []byte // in[:filled] was read and is not parsed yet
	filled  int
	gets    []bool    // for each request of the burst: is it a get
	pending int       // requests of the burst without a reply: the last ones of gets
	due     time.Time // of the burst: when it was sent, or with a rate should have been
	dialect Dialect
}

// dial opens a non-blocking connection.
func dial(addr string, d Dialect) (*conn, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", addr, err)
	}
	var to syscall.Sockaddr
	family := syscall.AF_INET6
	if ip := tcp.IP.To4(); ip != nil {
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(ip)}
	} else {
		to = &syscall.SockaddrInet6{Port: tcp.Port, Addr: [16]byte(tcp.IP.To16())}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	err = errors.Join(
		syscall.Connect(fd, to),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true))
	if err != nil {
		_ = syscall.Close(fd) // it was never used
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return &conn{fd: fd, addr: addr, dialect: d, in: make([]byte, replyBytesMin)}, nil
}

// fill makes the next burst of up to depth requests and reports whether there is
// any.
func (c *conn) fill(s source, depth int) bool {
	c.out, c.gets, c.written = c.out[:0], c.gets[:0], 0
	for range depth {
		out, isGet, ok := s.next(c.out)
		if !ok {
			break
		}
		c.out, c.gets = out, append(c.gets, isGet)
	}
	c.pending = len(c.gets)
	if c.pending > 0 && c.dialect == RedisWait {
		c.out = append(c.out, waitCommand...)
	}
	return c.pending > 0
}

// flush continues to write and reports whether the whole burst was written.
func (c *conn) flush() (bool, error) {
	for c.written < len(c.out) {
		n, err := syscall.Write(c.fd, c.out[c.written:])
		switch {
		case err == nil:
			c.written += n
		case errors.Is(err, syscall.EAGAIN):
			return false, nil
		case errors.Is(err, syscall.EINTR):
		default:
			return false, fmt.Errorf("write to %s: %w", c.addr, err)
		}
	}
	return true, nil
}

// read reads what has arrived, without waiting.
func (c *conn) read() error {
	if c.filled == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	for {
		n, err := syscall.Read(c.fd, c.in[c.filled:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case err != nil:
			return fmt.Errorf("read from %s: %w", c.addr, err)
		case n == 0:
			return fmt.Errorf("read from %s: the server closed the connection", c.addr)
		}
		c.filled += n
		return nil
	}
}

// replies gives each complete reply in the buffer to f.
func (c *conn) replies(f func(isGet bool, o outcome, reply []byte)) error {
	at, waited := 0, done
	if c.dialect == RedisWait {
		var complete bool
		if waited, complete = c.waitReply(); !complete {
			return nil
		}
	}
	for c.pending > 0 {
		isGet := c.gets[len(c.gets)-c.pending]
		n, o := c.dialect.parse(c.in[at:c.filled], isGet)
		if n == 0 {
			break
		}
		if c.pending == 1 && c.dialect == RedisWait {
			n += bytes.IndexByte(c.in[at+n:c.filled], '\n') + 1
		}
		if o == done {
			o = waited
		}
		f(isGet, o, c.in[at:at+n])
		at += n
		c.pending--
	}
	if c.pending == 0 && at < c.filled {
		return fmt.Errorf("read from %s: %q after the last reply", c.addr, c.in[at:c.filled])
	}
	c.filled = copy(c.in, c.in[at:c.filled])
	return nil
}
