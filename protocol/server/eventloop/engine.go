package eventloop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/seldom"
)

// Engine accepts connections and serves them on its loops. Its methods may be
// called from any goroutine. Its life is New, Serve, StopAccepting, Stop.
type Engine struct {
	config    Config
	listeners []net.Listener
	loops     *gnetLoops
	refusals  *seldom.Logger // of the system, which may refuse the same to each connection

	accepting sync.WaitGroup // goroutines of acceptors, of handshakes and of the ticker
	stop      chan struct{}  // closed when accepting stops
	closeStop sync.Once
	stopLoops func() error // stops the loops once, and returns how that went

	open     atomic.Int64 // connections admitted and not closed
	accepted atomic.Uint64
	refused  atomic.Uint64

	handshakes     *handshakes
	shaken         handshake.Counter
	protocolErrors atomic.Uint64

	idle chan struct{} // gets a token when a connection closed and none is left
}

// Counts are the connections of an Engine since it was made.
type Counts struct {
	Open     int    // being served
	Accepted uint64 // served, or being served
	Refused  uint64 // over Config.MaxConnections
}

// New listens and starts the loops. Nothing is accepted before Serve. An address
// in use is an error that names it.
func New(c Config) (*Engine, error) {
	e := &Engine{config: c, refusals: &seldom.Logger{To: c.Logger}, stop: make(chan struct{}), idle: make(chan struct{}, 1), handshakes: new(handshakes)}
	if e.config.HandshakeTimeout == 0 {
		e.config.HandshakeTimeout = handshakeTimeDefault
	}
	if e.config.Handshakes == nil {
		e.config.Handshakes = handshake.NewPort()
	}
	if err := e.listen(); err != nil {
		return nil, err
	}
	loops, err := startLoops(e)
	if err != nil {
		e.closeListeners()
		return nil, fmt.Errorf("start event loops: %w", err)
	}
	e.loops = loops
	e.stopLoops = sync.OnceValue(loops.stop)
	return e, nil
}

// Serve begins to accept connections, and ticks.
func (e *Engine) Serve() {
	for i, ln := range e.listeners {
		var secure *tls.Config
		if i < len(e.config.TLS) {
			secure = e.config.TLS[i]
		}
		e.accepting.Go(func() { e.accept(ln, secure) })
	}
	if e.config.TickPeriod > 0 {
		e.accepting.Go(e.tick)
	}
}

// tick has every loop call Tick once a period until accepting stops.
func (e *Engine) tick() {
	t := time.NewTicker(e.config.TickPeriod)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
			for _, l := range e.loops.all {
				l.Post(l.handler.Tick)
			}
		}
	}
}

// Listener is one listener of an Engine.
type Listener struct {
	Addr net.Addr
	FD   int // number of its descriptor, for display only; -1 when it is closed
}

// Listeners returns the listeners in the order of Config.Listen.
func (e *Engine) Listeners() []Listener {
	all := make([]Listener, len(e.listeners))
	for i, ln := range e.listeners {
		all[i] = Listener{Addr: ln.Addr(), FD: listenerFD(ln)}
	}
	return all
}

// Counts returns the numbers of connections.
func (e *Engine) Counts() Counts {
	return Counts{Open: int(e.open.Load()), Accepted: e.accepted.Load(), Refused: e.refused.Load()}
}

// TLSErrors are the connections that failed because of TLS since the Engine was made.
type TLSErrors struct {
	Handshake uint64 // before they were served
	Protocol  uint64 // while they were served: what came could not be decrypted
}

// TLSErrors returns the numbers of connections that failed because of TLS.
func (e *Engine) TLSErrors() TLSErrors {
	shaken := e.shaken.Tally()
	return TLSErrors{Handshake: shaken.Failures(), Protocol: e.protocolErrors.Load()}
}

// Handshakes returns how the handshakes of TLS have ended since the Engine was made.
func (e *Engine) Handshakes() handshake.Tally { return e.shaken.Tally() }

// StopAccepting stops accepting and ticks, and ends handshakes. When it returns, every
// connection that was admitted has been opened on its loop, or has closed.
func (e *Engine) StopAccepting() {
	e.closeStop.Do(func() { close(e.stop) })
	e.closeListeners()
	e.handshakes.stop()
	e.accepting.Wait()
}

// Wait waits until no connection is open, or until ctx ends, which is an error.
// Accepting must have stopped.
func (e *Engine) Wait(ctx context.Context) error {
	for e.open.Load() > 0 {
		select {
		case <-e.idle:
		case <-ctx.Done():
			return fmt.Errorf("drain %d connections: %w", e.open.Load(), ctx.Err())
		}
	}
	return nil
}

// Stop closes the connections that are left, and ends the loops. Accepting must
// have stopped. Handlers of connections whose input has ended are told by the
// goroutine that calls Stop, when no loop runs any more.
func (e *Engine) Stop() error {
	if err := e.stopLoops(); err != nil {
		return fmt.Errorf("stop event loops: %w", err)
	}
	return nil
}

// connClosed counts a connection out.
func (e *Engine) connClosed() {
	if e.open.Add(-1) == 0 {
		select {
		case e.idle <- struct{}{}:
		default:
		}
	}
}
