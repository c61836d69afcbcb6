package cluster

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// pair is one direction of dialling: from one server to another.
type pair struct{ origin, target int }

// network is a TCP proxy in front of each server. It can be cut for each pair of
// servers. A cut loses nothing by itself: connections stay open and data waits, as on
// a network that drops every packet while TCP retransmits. When the cut is mended,
// the data arrives late.
type network struct {
	// origin returns which server an accepted connection comes from; -1: none.
	origin func(conn net.Conn) int

	// runs reports whether a server runs. To one that does not, nothing is passed on.
	runs func(target int) bool

	wait sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
	cut       map[pair]bool
	changed   chan struct{} // closed when cut has changed, and replaced
	closed    bool
	conns     map[net.Conn]bool
}

func newNetwork(origin func(conn net.Conn) int, runs func(target int) bool) *network {
	return &network{origin: origin, runs: runs, cut: map[pair]bool{}, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
}

// listen passes connections to addr on to the server target, which listens at
// targetAddr. It returns the address with its port.
func (n *network) listen(addr string, target int, targetAddr string) (string, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen in front of server %d: %w", target, err)
	}
	n.mu.Lock()
	n.listeners = append(n.listeners, listener)
	n.mu.Unlock()
	n.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				continue // the peer closed it before it was accepted
			}
			n.wait.Go(func() { n.serve(conn, target, targetAddr) })
		}
	})
	return listener.Addr().String(), nil
}

// setCut cuts or mends pairs: those for which choose is true are cut.
func (n *network) setCut(pairs []pair, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range pairs {
		n.cut[p] = cut
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// close ends everything.
func (n *network) close() error {
	var errs []error
	n.mu.Lock()
	for _, l := range n.listeners {
		errs = append(errs, l.Close())
	}
	n.closed = true
	close(n.changed)
	n.changed = make(chan struct{})
	for conn := range n.conns {
		_ = conn.Close() // closing loses what is in flight
	}
	n.mu.Unlock()
	n.wait.Wait()
	return errors.Join(errs...)
}

// awaitWhole blocks while a pair is cut. It reports false once the network is
// closed.
func (n *network) awaitWhole(p pair) bool {
	for {
		n.mu.Lock()
		closed, cut, changed := n.closed, n.cut[p], n.changed
		n.mu.Unlock()
		if closed || !cut {
			return !closed
		}
		<-changed
	}
}

// keep registers a connection so that close ends it. It reports false after close.
func (n *network) keep(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.conns[conn] = true
	}
	return !n.closed
}

func (n *network) forget(conn net.Conn) {
	n.mu.Lock()
	delete(n.conns, conn)
	n.mu.Unlock()
	_ = conn.Close() // both ends are done with it
}

// serve connects one connection with a new one to the target.
func (n *network) serve(near net.Conn, target int, targetAddr string) {
	defer n.forget(near)
	if !n.runs(target) {
		return // before the origin is looked for, which takes time; others dial again and again
	}
	p := pair{n.origin(near), target}
	if p.origin < 0 || !n.keep(near) || !n.awaitWhole(p) {
		return
	}
	far, err := net.Dial("tcp", targetAddr)
	if err != nil {
		return // the dialling server sees a connection that ends
	}
	defer n.forget(far)
	if !n.keep(far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { n.pump(p, far, near) })
	both.Go(func() { n.pump(p, near, far) })
	both.Wait()
}

// pump copies one direction until either side ends, then ends both.
func (n *network) pump(p pair, dst, src net.Conn) {
	defer func() {
		_, _ = dst.Close(), src.Close() // the other pump sees it
	}()
	buf := make([]byte, 64<<10)
	for {
		size, err := src.Read(buf)
		if !n.awaitWhole(p) {
			return
		}
		if size > 0 {
			if _, err := dst.Write(buf[:size]); err != nil {
				return
			}
		}
		if err != nil { // the end of the stream, or a reset
			return
		}
	}
}
