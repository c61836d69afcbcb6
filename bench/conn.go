//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
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
	gets    []bool // for each request of the burst: is it a get
	pending int    // requests of the burst without a reply: the last ones of gets
	sent    time.Time
}

// dial opens a non-blocking connection.
func dial(addr string) (*conn, error) {
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
	return &conn{fd: fd, addr: addr, in: make([]byte, replyBytesMin)}, nil
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
	at := 0
	for c.pending > 0 {
		isGet := c.gets[len(c.gets)-c.pending]
		n, o := parseReply(c.in[at:c.filled], isGet)
		if n == 0 {
			break
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

// outcome is the meaning of a reply.
type outcome uint8

const (
	done   outcome = iota // STORED
	hit                   // VALUE
	miss                  // END alone
	failed                // anything else
)

var (
	valueStart = []byte("VALUE ")
	endLine    = []byte("END\r\n")
	storedLine = []byte("STORED\r\n")
)

// parseReply returns the length of the first reply in b, 0 if it is not complete.
func parseReply(b []byte, isGet bool) (int, outcome) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return 0, failed
	}
	line := b[:end]
	switch {
	case !isGet && bytes.Equal(line, storedLine):
		return end, done
	case isGet && bytes.Equal(line, endLine):
		return end, miss
	case isGet && bytes.HasPrefix(line, valueStart):
		line = bytes.TrimRight(line, "\r\n")
		size, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
		if err != nil || size < 0 {
			return end, failed
		}
		if end += size + len("\r\n") + len(endLine); end > len(b) {
			return 0, failed
		}
		return end, hit
	}
	return end, failed
}
