package eventloop

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
	"time"

	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"

	"go.uber.org/goleak"
)

// readBufferBytes is the receive buffer of a client's socket: much less than muchBytes.
const readBufferBytes = 128 << 10

// patience bounds every wait of the tests. Only a failure reaches it.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of workers, which lives as long as the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// loopHooks is a LoopHandler made of functions, and a Loop.
type loopHooks struct {
	Loop
	open    func(c Conn) Handler
	turnEnd func()
	tick    func()
}

func (l *loopHooks) Open(c Conn) Handler { return l.open(c) }

func (l *loopHooks) TurnEnd() {
	if l.turnEnd != nil {
		l.turnEnd()
	}
}

func (l *loopHooks) Tick() {
	if l.tick != nil {
		l.tick()
	}
}

// hooks is a Handler made of functions. It reports each event to its channel
// after its function has returned.
type hooks struct {
	c                                    Conn
	readable, inputEnded, writable, done func(c Conn)
	events                               chan string
}

func (h *hooks) run(event string, f func(c Conn)) {
	if f != nil {
		f(h.c)
	}
	h.events <- event
}

func (h *hooks) Readable()   { h.run("readable", h.readable) }
func (h *hooks) InputEnded() { h.run("input ended", h.inputEnded) }
func (h *hooks) Writable()   { h.run("writable", h.writable) }
func (h *hooks) Closed()     { h.run("closed", h.done) }

// await waits for an event, and passes over those before it.
func (h *hooks) await(t *testing.T, event string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-h.events:
			if got == event {
				return
			}
		case <-deadline:
			t.Fatalf("timed out waiting for %q", event)
		}
	}
}

// newEngine returns an engine of one loop, which ends with the test.
func newEngine(t *testing.T, l *loopHooks, change ...func(*Config)) *Engine {
	t.Helper()
	c := Config{
		Listen: []string{"127.0.0.1:0"}, Loops: 1, MaxConnections: 100, RefusedLine: "full\r\n",
		Logger: slog.New(slog.DiscardHandler),
		NewLoop: func(_ int, events Loop) LoopHandler {
			l.Loop = events
			return l
		},
	}
	for _, f := range change {
		f(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	e.Serve()
	t.Cleanup(func() {
		e.StopAccepting()
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// peer is a client's end of a connection.
type peer interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// tlsPeer is a client that encrypts.
type tlsPeer struct{ *tls.Conn }

func (p tlsPeer) SetLinger(seconds int) error {
	return p.NetConn().(*net.TCPConn).SetLinger(seconds)
}

// serveFunc returns an engine whose only connection has the handler h, its loop, and the
// client.
type serveFunc func(t *testing.T, h *hooks) (*loopHooks, *Engine, peer)

// plainAndTLS runs a test with connections as they are, and with encrypted ones.
func plainAndTLS(t *testing.T, test func(t *testing.T, serve serveFunc)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		test(t, func(t *testing.T, h *hooks) (*loopHooks, *Engine, peer) { return serve(t, h) })
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			test(t, func(t *testing.T, h *hooks) (*loopHooks, *Engine, peer) {
				ca := testcerts.NewAuthority(t, "authority")
				l := h.bind()
				e := newEngine(t, l, encrypt(ca))
				config := ca.Client()
				config.MaxVersion = version
				return l, e, dialTLS(t, e, config)
			})
		})
	}
}

// encrypt has an engine speak TLS on its first listener.
func encrypt(ca *testcerts.Authority) func(*Config) {
	return func(c *Config) {
		c.TLS = []*tls.Config{{Certificates: []tls.Certificate{ca.Issue("server").TLS()}, MinVersion: tls.VersionTLS12}}
	}
}

// dialTLS connects to the first listener until the test ends, and shakes hands.
func dialTLS(t *testing.T, e *Engine, config *tls.Config) tlsPeer {
	t.Helper()
	p := tlsPeer{tls.Client(dial(t, e), config)}
	if err := p.Handshake(); err != nil {
		t.Fatal(err)
	}
	return p
}

// serve is a serveFunc without TLS.
func serve(t *testing.T, h *hooks) (*loopHooks, *Engine, *net.TCPConn) {
	t.Helper()
	l := h.bind()
	e := newEngine(t, l)
	return l, e, dial(t, e)
}

// bind returns a loop that gives its connection the handler h.
func (h *hooks) bind() *loopHooks {
	h.events = make(chan string, 1<<16)
	return &loopHooks{open: func(c Conn) Handler {
		h.c = c
		return h
	}}
}

// dial connects to the first listener until the test ends.
func dial(t *testing.T, e *Engine) *net.TCPConn {
	t.Helper()
	c := testclient.Dial(t, e.Listeners()[0].Addr.String()).TCPConn
	if err := c.SetReadBuffer(readBufferBytes); err != nil { // else it grows as far as the system lets it
		t.Fatal(err)
	}
	return c
}

// onLoop runs f on the loop's goroutine.
func onLoop(l Loop, f func()) {
	done := make(chan struct{})
	l.Post(func() {
		defer close(done)
		f()
	})
	<-done
}

// await waits until the condition holds on the loop's goroutine.
func await(t *testing.T, l Loop, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ok := false; !ok; {
		onLoop(l, func() { ok = condition() })
		if ctx.Err() != nil {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
