package eventloop

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/panjf2000/gnet/v2"

	"raftcached/internal/yield"
)

// gnetLoops are the event loops of one gnet engine.
type gnetLoops struct {
	engine *Engine
	client *gnet.Client
	probes []*probe
	all    []*gnetLoop
	byGnet map[gnet.EventLoop]*gnetLoop // complete before the first *gnetConn; read-only then
}

// startLoops starts gnet's event loops and asks for the handler of each.
func startLoops(e *Engine) (*gnetLoops, error) {
	ls := &gnetLoops{engine: e, byGnet: make(map[gnet.EventLoop]*gnetLoop)}
	client, err := gnet.NewClient(&gnetEvents{loops: ls},
		gnet.WithNumEventLoop(e.config.Loops),
		gnet.WithLogger(gnetLog{e.config.Logger}))
	if err != nil {
		return nil, err
	}
	if err := client.Start(); err != nil {
		return nil, err
	}
	ls.client = client
	if ls.probes, err = probeLoops(client, e.config.Loops); err != nil {
		return nil, errors.Join(err, client.Stop(), closeProbes(ls.probes))
	}
	for i, p := range ls.probes {
		l := newGnetLoop(p, e.config.Logger)
		p.loop.Store(l)
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
	l := ls.idlest()
	l.load.Add(1)
	err := l.enroll(nc, c)
	if c.loop != nil {
		return nil // it was opened: what happens to it then is reported to its handler
	}
	l.load.Add(-1)
	return errors.Join(err, errors.New("no event loop could watch it"))
}

// idlest returns the loop that has the fewest connections.
func (ls *gnetLoops) idlest() *gnetLoop {
	return slices.MinFunc(ls.all, func(a, b *gnetLoop) int { return cmp.Compare(a.load.Load(), b.load.Load()) })
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
		l.sleeper.bar()
	}
	err := ls.client.Stop()
	for _, l := range ls.all {
		for c := range l.half {
			c.Close()
		}
	}
	return errors.Join(err, closeProbes(ls.probes))
}

// probe is the context of a connection that finds out about an event loop. It stays, for
// gnetLoop.nudge.
type probe struct {
	events  gnet.EventLoop
	epollFD int
	err     error
	sleeper *sleeper
	yielder *yield.Yielder
	nudgeFD int // the other end: gnet reads what is written to it
	loop    atomic.Pointer[gnetLoop]
}

// traffic is called when the loop has been nudged.
func (p *probe) traffic(gc gnet.Conn) {
	_, _ = gc.Discard(-1)
	if l := p.loop.Load(); l != nil {
		l.nudged()
	}
}

// closeProbes gives back what probes have, after the loops have ended.
func closeProbes(probes []*probe) error {
	var errs []error
	for _, p := range probes {
		if p.sleeper != nil {
			p.sleeper.close()
		}
		if p.yielder != nil {
			errs = append(errs, p.yielder.Close())
		}
		errs = append(errs, os.NewSyscallError("close", syscall.Close(p.nudgeFD)))
	}
	return errors.Join(errs...)
}

// probeLoops returns the n event loops of the client. gnet shows its event loops
// only through their connections. It gives each new one to the loop with the
// fewest, so n of them meet all n loops. With an error it returns those so far.
func probeLoops(client *gnet.Client, n int) (probes []*probe, err error) {
	seen := make(map[gnet.EventLoop]bool)
	for i := range n {
		p := new(probe)
		ours, theirs, err := socketPair()
		if err != nil {
			return probes, err
		}
		p.nudgeFD = ours
		probes = append(probes, p)
		if _, err := client.EnrollContext(theirs, p); err != nil {
			return probes, fmt.Errorf("enroll a probe: %w", err)
		}
		if p.err != nil {
			return probes, p.err
		}
		if seen[p.events] {
			return probes, fmt.Errorf("probe %d met an event loop again, want %d different ones", i, n)
		}
		seen[p.events] = true
		if p.sleeper, err = newSleeper(p.epollFD); err != nil {
			return probes, err
		}
		if p.yielder, err = yield.New(); err != nil {
			return probes, err
		}
	}
	return probes, nil
}

// socketPair returns two connected sockets, one of them as a descriptor.
func socketPair() (fd int, conn net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	if conn, err = fileConn(fds[1]); err != nil {
		_ = syscall.Close(fds[0])
		return -1, nil, err
	}
	return fds[0], conn, nil
}

// fileConn makes a net.Conn of a socket's descriptor, which it takes over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }() // net.FileConn works on a duplicate
	return net.FileConn(f)
}
