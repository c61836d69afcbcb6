package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	options   Options
	backend   Backend
	started   time.Time
	engine    *gnet.Client
	loops     []*loop
	listeners []net.Listener
	accepting sync.WaitGroup
	sweeping  sync.WaitGroup
	stop      chan struct{} // closed when Close begins
	closeOnce sync.Once
	closeErr  error

	open     atomic.Int64 // connections admitted and not closed
	total    atomic.Uint64
	rejected atomic.Uint64
	drained  chan struct{} // gets a token when a connection closed and none is left

	resetMu sync.Mutex
	base    totals // counts at the last "stats reset"
}

// Start listens, starts the event loops, and returns when connections are being
// accepted. An address in use is an error that names it.
func Start(o Options, b Backend) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o,
		backend: b,
		started: o.Now(),
		stop:    make(chan struct{}),
		drained: make(chan struct{}, 1),
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	if err := s.startLoops(); err != nil {
		s.closeListeners()
		return nil, err
	}
	for _, ln := range s.listeners {
		s.accepting.Go(func() { s.accept(ln) })
	}
	if period := o.sweepPeriod(); period > 0 {
		s.sweeping.Go(func() { s.sweepUntil(s.stop, period) })
	}
	return s, nil
}

// Addr returns the address of the first listener.
func (s *Server) Addr() net.Addr { return s.listeners[0].Addr() }

// Addrs returns the addresses of all listeners, in the order of Options.Listen.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, ln := range s.listeners {
		addrs[i] = ln.Addr()
	}
	return addrs
}

// startLoops starts gnet's event loops and binds a backend to each.
func (s *Server) startLoops() error {
	h := &handler{loops: make(map[gnet.EventLoop]*loop)}
	engine, err := gnet.NewClient(h,
		gnet.WithNumEventLoop(s.options.Loops),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(gnetLog{s.options.Logger}))
	if err != nil {
		return fmt.Errorf("start event loops: %w", err)
	}
	if err := engine.Start(); err != nil {
		return fmt.Errorf("start event loops: %w", err)
	}
	s.engine = engine
	probes, err := probeLoops(engine, s.options.Loops)
	if err != nil {
		return errors.Join(fmt.Errorf("start event loops: %w", err), engine.Stop())
	}
	for i, p := range probes {
		l := newLoop(s, p.events, p.epollFD)
		l.backend = s.backend.NewLoop(i, l)
		s.loops = append(s.loops, l)
		h.loops[p.events] = l
	}
	return nil
}

// probe is the context of a connection that finds out about an event loop.
type probe struct {
	events  gnet.EventLoop
	epollFD int
	err     error
}

// probeLoops returns the n event loops of the engine. gnet tells of its event
// loops only through their connections: it gives each new one to the loop with
// the fewest, so n of them meet all n loops.
func probeLoops(engine *gnet.Client, n int) ([]probe, error) {
	probes := make([]probe, n)
	seen := make(map[gnet.EventLoop]bool)
	for i := range probes {
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, err
		}
		defer func() { _ = ours.Close() }() // ends the probe
		if _, err := engine.EnrollContext(theirs, &probes[i]); err != nil {
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

// Close stops accepting, lets the answers to the requests that were sent on
// leave, and closes all connections and event loops. Connections that are not
// done when ctx ends are cut, which is reported as an error.
func (s *Server) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

// close does the work of Close.
func (s *Server) close(ctx context.Context) error {
	close(s.stop)
	s.closeListeners()
	s.accepting.Wait()
	err := s.drain(ctx)
	s.sweeping.Wait()
	for _, l := range s.loops {
		l.closePost()
	}
	if stopErr := s.engine.Stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop event loops: %w", stopErr))
	}
	for _, l := range s.loops {
		l.cutLingering()
	}
	return err
}

// drain has every loop close its connections as soon as they have their answers,
// and waits until none is left or ctx ends.
func (s *Server) drain(ctx context.Context) error {
	for _, l := range s.loops {
		l.Post(l.drain)
	}
	for s.open.Load() > 0 {
		select {
		case <-s.drained:
		case <-ctx.Done():
			return fmt.Errorf("drain %d connections: %w", s.open.Load(), ctx.Err())
		}
	}
	return nil
}

// drain closes the loop's connections once they have their answers.
func (l *loop) drain() {
	l.draining = true
	for c := range l.conns {
		if !c.eof {
			c.endInput()
		}
		c.serve()
	}
}

// cutLingering closes the connections that gnet no longer knows. The loop's
// goroutine has ended.
func (l *loop) cutLingering() {
	for c := range l.conns {
		c.shut()
	}
}

// connClosed counts a connection out.
func (s *Server) connClosed() {
	if s.open.Add(-1) == 0 {
		select {
		case s.drained <- struct{}{}:
		default:
		}
	}
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
