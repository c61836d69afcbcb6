package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"raftcached/internal/handshake"
	"raftcached/internal/measure"
	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	options Options
	backend Backend
	stats   *stats.Collector
	engine  *eventloop.Engine
	loops   []*loop

	prefixes *stats.Prefixes
	slow     measure.SlowLog
	hot      *hotKeys // nil: none are counted

	crawlerDisabled atomic.Bool  // by the command lru_crawler
	refreshes       atomic.Int32 // of certificates, under way

	closeOnce sync.Once
	closeErr  error
}

// Start listens, starts the event loops, and returns when connections are being
// accepted. An address in use is an error that names it.
func Start(o Options, b Backend) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, backend: b, prefixes: stats.NewPrefixes(o.KeyDelimiter, o.KeyDelimiter != 0)}
	if !o.HotKeysOff {
		s.hot = newHotKeys(o.clock)
	}
	s.engine, err = eventloop.New(eventloop.Config{
		Listen:         o.Listen,
		Listeners:      o.Listeners,
		TLS:            o.Encryption.configs(max(len(o.Listen), len(o.Listeners))),
		Handshakes:     o.Encryption.handshakes(),
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
	s.stats = s.newCollector()
	if s.hot != nil {
		s.hot.done.Go(s.hot.run)
	}
	s.engine.Serve()
	return s, nil
}

// newCollector returns what answers the stats commands. The loops have started.
func (s *Server) newCollector() *stats.Collector {
	o := &s.options
	settings := stats.Settings{
		Version: o.Version, RaftcachedVersion: o.RaftcachedVersion, EventLoop: eventloop.Version,
		Interface: o.Listen[0], MaxConnections: o.MaxConnections, ItemBytesMax: o.ItemBytesMax,
		Verbosity: o.Verbosity, IdleTimeout: o.IdleTimeout,
		Shutdown: o.Shutdown != nil, Flush: !o.FlushDisabled, Dump: !o.DumpDisabled,
		Login: o.Authenticator != nil, AuthFile: o.AuthFile,
	}
	if o.Encryption != nil {
		encryption := o.Encryption.Settings
		encryption.Errors = func() (handshake, later uint64) {
			errors := s.engine.TLSErrors()
			return errors.Handshake, errors.Protocol
		}
		settings.Encryption = &encryption
	}
	if addr, ok := s.Addr().(*net.TCPAddr); ok {
		settings.Port = addr.Port
	}
	source := stats.Source{
		Conns: func() stats.Connections { return stats.Connections(s.engine.Counts()) },
		State: s.backend.State, Prefixes: s.prefixes,
		Now: o.Now,
	}
	for _, l := range s.loops {
		source.Loops = append(source.Loops, &l.counters)
	}
	return stats.NewCollector(settings, source)
}

// Counts returns what was counted since the start, by the names of plain stats, and the
// connections. Any goroutine may call it.
func (s *Server) Counts() (map[string]uint64, stats.Connections) { return s.stats.SinceStart() }

// Handshakes returns how the handshakes of clients with TLS have ended. Any goroutine may
// call it.
func (s *Server) Handshakes() handshake.Tally { return s.engine.Handshakes() }

// setVerbosity changes how much is logged.
func (s *Server) setVerbosity(level int) {
	s.stats.SetVerbosity(level)
	if f := s.options.SetVerbosity; f != nil {
		f(level)
	}
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

// StopAccepting lets no more clients in, and closes no connection. When it returns,
// nobody can connect any more.
func (s *Server) StopAccepting() { s.engine.StopAccepting() }

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
	err = errors.Join(err, s.engine.Stop())
	if s.hot != nil {
		s.hot.close()
	}
	return err
}

// Measured is what was measured of the requests since the start.
type Measured struct {
	Latencies [measure.CommandCount]measure.Distribution
	Sizes     measure.Distribution // of values that clients have stored; sampled
}

// Measured returns what was measured. Any goroutine may call it.
func (s *Server) Measured() Measured {
	var m Measured
	for _, l := range s.loops {
		for i := range m.Latencies {
			m.Latencies[i].Include(&l.timing.latencies[i])
		}
		m.Sizes.Include(&l.timing.sizes)
	}
	return m
}

// HotKeys returns the keys that are asked for most, and false if none are counted. Any
// goroutine may call it.
func (s *Server) HotKeys() ([]measure.HotKey, bool) {
	if s.hot == nil {
		return nil, false
	}
	return s.hot.counts.Top(s.hot.clock()), true
}

// Slow returns the last slow commands, the newest first, and how many there have been. Any
// goroutine may call it.
func (s *Server) Slow() ([]measure.Slow, uint64) { return s.slow.List() }

// drain closes the loop's connections once they have their answers.
func (l *loop) drain() {
	for c := range l.conns.all() {
		c.endInput()
		c.serve()
	}
}
