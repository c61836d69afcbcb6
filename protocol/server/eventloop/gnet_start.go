package eventloop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

// gnetLoops are the event loops of one gnet engine.
type gnetLoops struct {
	engine *Engine
	client *gnet.Client
	all    []*gnetLoop
	byGnet map[gnet.EventLoop]*gnetLoop // complete before the first *gnetConn; read-only then
}

// startLoops starts gnet's event loops and asks for the handler of each.
func startLoops(e *Engine) (*gnetLoops, error) {
	ls := &gnetLoops{engine: e, byGnet: make(map[gnet.EventLoop]*gnetLoop)}
	client, err := gnet.NewClient(&gnetEvents{loops: ls},
		gnet.WithNumEventLoop(e.config.Loops),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(gnetLog{e.config.Logger}))
	if err != nil {
		return nil, err
	}
	if err := client.Start(); err != nil {
		return nil, err
	}
	ls.client = client
	probes, err := probeLoops(client, e.config.Loops)
	if err != nil {
		return nil, errors.Join(err, client.Stop())
	}
	for i, p := range probes {
		l := newGnetLoop(p.events, p.epollFD, e.config.Logger)
		l.handler = e.config.NewLoop(i, l)
		ls.all = append(ls.all, l)
		ls.byGnet[p.events] = l
	}
	return ls, nil
}

// watch gives a connection to the loop that has the fewest, and has secure decrypt it,
// unless that is nil. It returns when the loop has opened it. After an error nobody will
// report that it closed.
func (ls *gnetLoops) watch(nc net.Conn, secure *tlsConn) error {
	c := &gnetConn{engine: ls.engine, secure: secure, remote: nc.RemoteAddr().String(), local: nc.LocalAddr().String(), notify: -1}
	dropZone(nc.LocalAddr())
	dropZone(nc.RemoteAddr())
	_, err := ls.client.EnrollContext(nc, c)
	if c.loop != nil {
		return nil // it was opened: what happens to it then is reported to its handler
	}
	return errors.Join(err, errors.New("no event loop could watch it"))
}

// dropZone removes the zone from an address in place. gnet puts the zones of a
// closed connection into its pool of buffers, although Go owns their memory.
func dropZone(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		tcp.Zone = ""
	}
}

// stop ends the loops. gnet closes the connections that it has.
func (ls *gnetLoops) stop() error {
	for _, l := range ls.all {
		l.closePosts()
	}
	err := ls.client.Stop()
	for _, l := range ls.all {
		for c := range l.half {
			c.Close()
		}
	}
	return err
}

// probe is the context of a connection that finds out about an event loop.
type probe struct {
	events  gnet.EventLoop
	epollFD int
	err     error
}

// probeLoops returns the n event loops of the client. gnet shows its event loops
// only through their connections. It gives each new one to the loop with the
// fewest, so n of them meet all n loops.
func probeLoops(client *gnet.Client, n int) ([]probe, error) {
	probes := make([]probe, n)
	seen := make(map[gnet.EventLoop]bool)
	for i := range probes {
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, err
		}
		defer func() { _ = ours.Close() }() // ends the probe
		if _, err := client.EnrollContext(theirs, &probes[i]); err != nil {
			return nil, fmt.Errorf("enroll a probe: %w", err)
		}
		if probes[i].err != nil {
			return nil, probes[i].err
		}
		if seen[probes[i].events] {
			return nil, fmt.Errorf("probe %d met an event loop again, want %d different ones", i, n)
		}
		seen[probes[i].events] = true
	}
	return probes, nil
}

// socketPair returns two connected sockets.
func socketPair() (a, b net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	if a, err = fileConn(fds[0]); err != nil {
		_ = syscall.Close(fds[1])
		return nil, nil, err
	}
	if b, err = fileConn(fds[1]); err != nil {
		_ = a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// fileConn makes a net.Conn of a socket's descriptor, which it takes over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }() // net.FileConn works on a duplicate
	return net.FileConn(f)
}
