package cluster

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Link is one direction of dialling between two servers: a TCP proxy that can be
// cut. A cut loses nothing by itself: connections stay open and what was sent
// waits, as on a network that drops every packet while TCP goes on trying. What
// was held back arrives late when the link is mended.
type Link struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	open  chan struct{} // closed while the link is whole
	cut   bool
	ended chan struct{} // closed by Close
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

// NewLink listens at addr and passes every connection on to target.
func NewLink(addr, target string) (*Link, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for link to %s: %w", target, err)
	}
	l := &Link{
		listener: listener, target: target, open: make(chan struct{}),
		ended: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	close(l.open)
	l.wait.Go(l.accept)
	return l, nil
}

// Cut stops the flow in both directions.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		l.cut = true
		l.open = make(chan struct{})
	}
}

// Mend lets everything flow again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		l.cut = false
		close(l.open)
	}
}

// Close ends the link and all its connections.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.mu.Lock()
	close(l.ended)
	for conn := range l.conns {
		_ = conn.Close() // whatever was under way is lost: that is what closing means
	}
	l.mu.Unlock()
	l.wait.Wait()
	return err
}

// awaitOpen blocks while the link is cut. It reports false once it is closed.
func (l *Link) awaitOpen() bool {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	select {
	case <-l.ended:
		return false
	default:
	}
	select {
	case <-open:
		return true
	case <-l.ended:
		return false
	}
}

// keep enters a connection so that Close ends it; false: closed already.
func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ended:
		return false
	default:
		l.conns[conn] = true
		return true
	}
}

func (l *Link) forget(conn net.Conn) {
	l.mu.Lock()
	delete(l.conns, conn)
	l.mu.Unlock()
	_ = conn.Close() // both ends are done with it
}

func (l *Link) accept() {
	for {
		conn, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue // the peer gave up before it was accepted
		}
		l.wait.Go(func() { l.serve(conn) })
	}
}

// serve joins one connection with a new one to the target.
func (l *Link) serve(near net.Conn) {
	if !l.keep(near) {
		_ = near.Close() // closed meanwhile
		return
	}
	defer l.forget(near)
	if !l.awaitOpen() {
		return
	}
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return // the dialling server sees a connection that ends
	}
	if !l.keep(far) {
		_ = far.Close() // closed meanwhile
		return
	}
	defer l.forget(far)
	var both sync.WaitGroup
	both.Go(func() { l.pump(far, near) })
	both.Go(func() { l.pump(near, far) })
	both.Wait()
}

// pump copies one direction until either side ends, then ends both.
func (l *Link) pump(dst, src net.Conn) {
	defer func() {
		_, _ = dst.Close(), src.Close() // the other pump sees it
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if !l.awaitOpen() {
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil { // io.EOF or a reset
			return
		}
	}
}
