package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"raftcached/protocol/server/eventloop"
)

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	options   Options
	backend   Backend
	started   time.Time
	engine    *eventloop.Engine
	loops     []*loop
	closeOnce sync.Once
	closeErr  error

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
	s := &Server{options: o, backend: b, started: o.Now()}
	s.engine, err = eventloop.New(eventloop.Config{
		Listen:         o.Listen,
		Loops:          o.Loops,
		MaxConnections: o.MaxConnections,
		RefusedLine:    "ERROR Too many open connections\r\n",
		TickPeriod:     o.sweepPeriod(),
		NewLoop:        s.newLoop,
		Logger:         o.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.engine.Serve()
	return s, nil
}

// newLoop returns the handler of an event loop, and binds a backend to it.
func (s *Server) newLoop(id int, events eventloop.Loop) eventloop.LoopHandler {
	l := newLoop(s, events)
	l.backend = s.backend.NewLoop(id, l)
	s.loops = append(s.loops, l)
	return l
}

// Addr returns the address of the first listener.
func (s *Server) Addr() net.Addr { return s.engine.Listeners()[0].Addr }

// Addrs returns the addresses of all listeners, in the order of Options.Listen.
func (s *Server) Addrs() []net.Addr {
	listeners := s.engine.Listeners()
	addrs := make([]net.Addr, len(listeners))
	for i := range listeners {
		addrs[i] = listeners[i].Addr
	}
	return addrs
}

// Close stops accepting, sends the answers to the requests that were passed on,
// and closes all connections and event loops. Connections that are not done when
// ctx ends are cut, which is reported as an error.
func (s *Server) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

// close does the work of Close.
func (s *Server) close(ctx context.Context) error {
	s.engine.StopAccepting()
	for _, l := range s.loops {
		l.Post(l.drain)
	}
	err := s.engine.Wait(ctx)
	return errors.Join(err, s.engine.Stop())
}

// drain closes the loop's connections once they have their answers.
func (l *loop) drain() {
	for c := range l.conns {
		if !c.eof {
			c.endInput()
		}
		c.serve()
	}
}
