//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"raftcached/bench/steady"
)

const (
	// requestTimeout is above the servers' own.
	requestTimeout = 5 * time.Second

	// homeEvery is how often a client that is elsewhere tries its own server.
	homeEvery = time.Second

	// getsOfTen is how many of ten requests are gets.
	getsOfTen = 9

	// retryPause is how long a client waits when no server answers it.
	retryPause = time.Millisecond
)

// client is one connection at a time. It belongs to one goroutine.
type client struct {
	load    *load
	home    int // of the addresses
	at      int // where it is
	homeDue time.Time
	conn    net.Conn
	in      *bufio.Reader
	rng     *rand.Rand
	value   []byte
	buf     []byte
	samples []sample
	failed  int
}

func newClient(l *load, i int) *client {
	home := i % len(l.addrs)
	return &client{load: l, home: home, at: home, rng: rand.New(rand.NewPCG(uint64(i), 1)), value: make([]byte, l.ValueBytes)}
}

func (c *client) run(ctx context.Context) {
	defer c.leave()
	for ctx.Err() == nil {
		if err := c.connect(); err != nil {
			c.at = (c.at + 1) % len(c.load.addrs)
			_ = steady.Sleep(ctx, retryPause) // the loop ends with the context
			continue
		}
		begun, isGet := time.Now(), c.rng.IntN(10) < getsOfTen
		if err := c.request(isGet); err != nil {
			c.failed++
			c.leave()
			c.at = (c.at + 1) % len(c.load.addrs)
			c.homeDue = time.Now().Add(homeEvery)
			continue
		}
		now := time.Now()
		c.samples = append(c.samples, sample{now, now.Sub(begun), isGet})
	}
}

// connect connects if that is needed, and goes home if that is possible.
func (c *client) connect() error {
	if c.conn != nil && c.at != c.home && time.Now().After(c.homeDue) {
		c.homeDue = time.Now().Add(homeEvery)
		if conn, err := net.DialTimeout("tcp", c.load.addrs[c.home], requestTimeout); err == nil {
			c.leave()
			c.at = c.home
			c.use(conn)
		}
	}
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.load.addrs[c.at], requestTimeout)
	if err == nil {
		c.use(conn)
	}
	return err
}

func (c *client) use(conn net.Conn) { c.conn, c.in = conn, bufio.NewReaderSize(conn, 64<<10) }

func (c *client) leave() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is outstanding, or it has failed
		c.conn = nil
	}
}

// request sends one, and reads its answer.
func (c *client) request(isGet bool) error {
	key := c.load.Key(c.rng.IntN(c.load.Keys()))
	if isGet {
		c.buf = fmt.Appendf(c.buf[:0], "get %s\r\n", key)
	} else {
		c.buf = fmt.Appendf(c.buf[:0], "set %s 0 0 %d\r\n", key, len(c.value))
		c.buf = append(append(c.buf, c.value...), "\r\n"...)
	}
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	switch {
	case err != nil:
		return err
	case !isGet && string(line) == "STORED\r\n", isGet && string(line) == "END\r\n":
		return nil
	case !isGet || !strings.HasPrefix(string(line), "VALUE "):
		return fmt.Errorf("the server says %q", line)
	}
	_, err = io.CopyN(io.Discard, c.in, int64(len(c.value)+len("\r\nEND\r\n")))
	return err
}
