package handshake

import (
	"net"
	"runtime"
	"sync"
)

// Turns is how many handshakes compute at one time, at most: half of the processors, so that
// thousands of them leave as much for everything else.
func Turns() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// Processors are the turns that the ports of a node share.
type Processors struct {
	turns chan struct{} // an element for each handshake that computes
}

// NewProcessors returns Turns turns.
func NewProcessors() *Processors { return &Processors{turns: make(chan struct{}, Turns())} }

// Port returns what a port shares them by.
func (p *Processors) Port() *Port {
	return &Port{line: make(chan struct{}, cap(p.turns)), turns: p.turns}
}

// Port is a port's part of Processors.
type Port struct {
	line  chan struct{} // an element for each of its handshakes that computes, or is next to
	turns chan struct{} // of Processors
}

// NewPort returns that of a port that shares with no other.
func NewPort() *Port { return NewProcessors().Port() }

// Conn returns a connection on which a handshake is to be made by a server, which begins with
// a read. It takes over the connection.
func (p *Port) Conn(c net.Conn) *Conn { return &Conn{Conn: c, port: p, gone: make(chan struct{})} }

// Conn is a connection on which a handshake is made. What has been read or written is followed
// by computing, so both end with a turn for that. Over ends it.
type Conn struct {
	net.Conn
	port *Port

	holds bool // a turn
	over  bool

	close sync.Once
	gone  chan struct{} // closed by Close
}

// Over gives back the turn, and has reads and writes take none any more. Who shakes hands calls
// it at the end, however that went.
func (c *Conn) Over() {
	c.give()
	c.over = true
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) { return c.between(c.Conn.Read, b) }

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) { return c.between(c.Conn.Write, b) }

// between has others compute while it waits for the other side. Its error goes first.
func (c *Conn) between(transfer func([]byte) (int, error), b []byte) (int, error) {
	if c.over {
		return transfer(b)
	}
	c.give()
	n, err := transfer(b)
	if late := c.take(); err == nil {
		err = late
	}
	return n, err
}

// Close implements net.Conn. It ends the handshake wherever it is: one that waits for its turn
// does not wait for that any more. So a flood leaves nothing behind.
func (c *Conn) Close() error {
	c.close.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// take waits for a turn. It fails if the connection is closed before.
func (c *Conn) take() error {
	select {
	case c.port.line <- struct{}{}:
	case <-c.gone:
		return net.ErrClosed
	}
	select {
	case c.port.turns <- struct{}{}:
		c.holds = true
		return nil
	case <-c.gone:
		<-c.port.line
		return net.ErrClosed
	}
}

func (c *Conn) give() {
	if c.holds {
		c.holds = false
		<-c.port.turns
		<-c.port.line
	}
}
