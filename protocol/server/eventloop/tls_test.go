package eventloop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
)

// echo opens connections that send back what they get, and close at the end of input.
func echo(c Conn) Handler {
	return &hooks{
		c: c, events: make(chan string, 1<<16),
		readable:   func(c Conn) { c.Write(c.Peek()); c.Discard(c.Buffered()) },
		inputEnded: func(c Conn) { c.Close() },
	}
}

// echoes fails the test if a client does not get back what it sends.
func echoes(t *testing.T, c net.Conn, sent string) {
	t.Helper()
	got := make([]byte, len(sent))
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatalf("send %.40q: %v", sent, err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != sent {
		t.Fatalf("sent %.40q, got back %.40q, %v", sent, got, err)
	}
}

// awaitOpen waits until as many connections are open.
func (e *Engine) awaitOpen(t *testing.T, n int) {
	t.Helper()
	await(t, e.loops.all[0], "connections are closed", func() bool { return e.Counts().Open == n })
}

// awaitEnd waits until the server has closed a client's connection, which gets nothing.
func awaitEnd(t *testing.T, c io.Reader) {
	t.Helper()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection was not closed; it got %q", got)
	}
}

// drip writes its bytes one by one.
type drip struct{ net.Conn }

func (d drip) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestRecordsInPieces: wherever a record is cut, it is decrypted when it is whole.
func TestRecordsInPieces(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := ca.Client()
		config.MaxVersion = version
		c := tls.Client(drip{testclient.Dial(t, e.Listeners()[0].Addr.String())}, config)
		for _, size := range []int{1, 100, 5000, recordBytesMax + 1} {
			echoes(t, c, string(pattern(size)))
		}
	}
	if got := e.TLSErrors(); got != (TLSErrors{}) || e.Handshakes().Done != 2 {
		t.Errorf("errors %+v, handshakes %+v", got, e.Handshakes())
	}
}

// hello is what a client of TLS sends first.
func hello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(theirs, &tls.Config{ServerName: "localhost"}).Handshake() //nolint:gosec // it goes nowhere
	}()
	record := make([]byte, 16<<10)
	n, err := ours.Read(record)
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	return record[:n]
}

// TestWhatIsNoHandshakeIsNotServed: garbage, requests without TLS, and handshakes that
// end early are closed. No handler learns of them.
func TestWhatIsNoHandshakeIsNotServed(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: func(Conn) Handler { panic("it was served") }}, encrypt(ca))
	first := hello(t)
	huge := append([]byte{0x16, 3, 1, 0xff, 0xff}, make([]byte, 1<<16)...)
	old := bytes.Clone(first)
	old[9], old[10] = 3, 0 // SSL 3.0
	inputs := []string{
		"", "\x16", "\x80", "get a\r\n", "set a 0 0 1\r\nb\r\n", "\x80\x0a" + strings.Repeat("\x00", 22), "GET / HTTP/1.1\r\n\r\n",
		strings.Repeat("\xff", 100_000), string(huge), "\x15\x03\x01\x00\x02\x02\x28", "\x17\x03\x03\x00\x01x", "\x14\x03\x03\x00\x01\x01",
		"\x16\x03\x01\x00\x00", string(first[:5]), string(first[:len(first)/2]), string(first[:len(first)-1]), string(first),
		string(first) + "get a\r\n", string(first) + string(first), "\x16\x03\x01\x00\x04\x01\xff\xff\xff", string(old),
	}
	for _, input := range inputs {
		c := dial(t, e)
		if _, err := io.WriteString(c, input); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
			t.Errorf("send %.20q: %v", input, err)
		}
		_ = c.CloseWrite() // the server may have closed it
		awaitEnd(t, c)
	}
	e.awaitOpen(t, 0)
	if got, want := e.TLSErrors(), (TLSErrors{Handshake: uint64(len(inputs))}); got != want {
		t.Errorf("errors %+v, want %+v", got, want)
	}
}

// TestPlaintextIsNotAnswered: who speaks without TLS gets no byte of plaintext back, not
// even when there are too many connections.
func TestPlaintextIsNotAnswered(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.MaxConnections = 1 })
	for _, full := range []bool{false, true} {
		if full {
			echoes(t, dialTLS(t, e, ca.Client()), "x")
		}
		c := dial(t, e)
		_, _ = io.WriteString(c, "get a\r\n") // it may have been refused already
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("full: %t: got %q", full, got)
		}
		e.awaitOpen(t, map[bool]int{true: 1}[full])
	}
}

// TestSlowHandshakesEnd after the time that they have.
func TestSlowHandshakesEnd(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.HandshakeTimeout = 50 * time.Millisecond })
	first := hello(t)
	for i := range 50 {
		c := dial(t, e)
		if _, err := c.Write(first[:i*len(first)/50]); err != nil {
			t.Fatal(err)
		}
		defer awaitEnd(t, c)
	}
	e.awaitAccepted(t, 50)
	e.awaitOpen(t, 0)
	if n := e.handshakes.inFlight.Len(); n > 0 {
		t.Errorf("%d handshakes are in flight", n)
	}
	c := dialTLS(t, e, ca.Client())
	echoes(t, c, "in time")
	e.awaitOpen(t, 1)
}

// TestSlowHandshakesKeepNobodyOut: a thousand clients that never finish take all
// connections there may be. The oldest give way to those that do, and those that are
// served to nobody.
func TestSlowHandshakesKeepNobodyOut(t *testing.T) {
	const most = 1000
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.MaxConnections, c.HandshakeTimeout = most, time.Hour })
	served := dialTLS(t, e, ca.Client())
	echoes(t, served, "before")
	first := hello(t)
	for i := range most {
		c := dial(t, e)
		if _, err := c.Write(first[:i%2*(len(first)-1)]); err != nil {
			t.Fatal(err)
		}
	}
	e.awaitAccepted(t, most+1)
	for range 10 {
		echoes(t, dialTLS(t, e, ca.Client()), "while they wait")
	}
	echoes(t, served, "after")
	e.awaitOpen(t, most)
	if got := e.Counts(); got.Refused > 0 {
		t.Errorf("%d connections were refused", got.Refused)
	}
}

// TestServedConnectionsDoNotGiveWay: when all connections are served, the next one is
// refused.
func TestServedConnectionsDoNotGiveWay(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.MaxConnections = 2 })
	first, second := dialTLS(t, e, ca.Client()), dialTLS(t, e, ca.Client())
	echoes(t, first, "1")
	echoes(t, second, "2")
	awaitEnd(t, dial(t, e))
	echoes(t, first, "1")
	echoes(t, second, "2")
	if got, want := e.Counts(), (Counts{Open: 2, Accepted: 2, Refused: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// TestStopEndsHandshakes that are in flight, and waits for none.
func TestStopEndsHandshakes(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.HandshakeTimeout = time.Hour })
	c := dial(t, e)
	e.awaitAccepted(t, 1)
	e.StopAccepting()
	awaitEnd(t, c)
	if n := e.Counts().Open; n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

// TestGarbageAfterTheHandshake closes the connection, after what came before it was
// handled.
func TestGarbageAfterTheHandshake(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	for name, garbage := range map[string][]byte{
		"no record": []byte("get a\r\n"), "a forged record": append([]byte{0x17, 3, 3, 0, 40}, make([]byte, 40)...),
		"a long record": {0x17, 3, 3, 0xff, 0xff}, "a hello": hello(t),
	} {
		h := &hooks{readable: func(c Conn) { c.Discard(c.Buffered()) }}
		l := h.bind()
		e := newEngine(t, l, encrypt(ca))
		c := dialTLS(t, e, ca.Client())
		if _, err := io.WriteString(c, "whole"); err != nil {
			t.Fatal(err)
		}
		h.await(t, "readable")
		if _, err := c.NetConn().Write(garbage); err != nil {
			t.Fatal(err)
		}
		h.await(t, "closed")
		awaitEnd(t, c)
		onLoop(l, func() { useClosed(h.c) }) // the turn that has closed it is over
		if got, want := e.TLSErrors(), (TLSErrors{Protocol: 1}); got != want || e.Counts().Open != 0 {
			t.Errorf("%s: errors %+v, want %+v; %d open", name, got, want, e.Counts().Open)
		}
	}
}

// TestCutConnections: a client that is cut off between records has ended its input; one
// that is cut off within a record is gone.
func TestCutConnections(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	for _, test := range []struct {
		cut  string
		want []string
	}{{"", []string{"readable", "input ended", "closed"}}, {"\x17\x03\x03\x00\x40abc", []string{"readable", "closed"}}} {
		h := &hooks{inputEnded: func(c Conn) { c.Close() }}
		e := newEngine(t, h.bind(), encrypt(ca))
		c := dialTLS(t, e, ca.Client())
		if _, err := io.WriteString(c, "whole"); err != nil {
			t.Fatal(err)
		}
		await(t, e.loops.all[0], "the request has come", func() bool { return len(h.events) == 1 })
		if _, err := io.WriteString(c.NetConn(), test.cut); err != nil {
			t.Fatal(err)
		}
		if err := c.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		e.awaitOpen(t, 0)
		var got []string
		onLoop(e.loops.all[0], func() {
			for len(h.events) > 0 {
				got = append(got, <-h.events)
			}
		})
		// What ends a handler's input inside of another event is noted first.
		if len(got) != len(test.want) || strings.Contains(strings.Join(got, " "), "ended") != (test.cut == "") {
			t.Errorf("cut after %q: events %q, want %q in some order", test.cut, got, test.want)
		}
	}
}

// TestInputAfterTheEnd: what follows a client's farewell is not read, and the connection
// goes on.
func TestInputAfterTheEnd(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	ends := 0
	h := &hooks{writable: func(c Conn) { c.Close() }, inputEnded: func(Conn) { ends++ }}
	l := h.bind()
	e := newEngine(t, l, encrypt(ca))
	c := dialTLS(t, e, ca.Client())
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	h.await(t, "input ended")
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil { // crypto/tls has ended writing
		t.Fatal(err)
	}
	if _, err := c.NetConn().Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	onLoop(l, func() {
		if n := h.c.Buffered(); n > 0 {
			t.Errorf("%d bytes were read", n)
		}
		h.c.Write([]byte("answer"))
		h.c.NotifyOutbound(0)
	})
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %q, %v", got, err)
	}
	h.await(t, "closed")
	if ends != 1 {
		t.Errorf("the handler was told %d times of the end, want once", ends)
	}
}

// recorder keeps what a client reads.
type recorder struct {
	net.Conn
	read []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read = append(r.read, p[:n]...)
	return n, err
}

// TestFarewell: a client can tell an end that the server has made from a cut.
func TestFarewell(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca))
	config := ca.Client()
	config.MaxVersion = tls.VersionTLS12 // it shows what is an alert
	raw := &recorder{Conn: testclient.Dial(t, e.Listeners()[0].Addr.String())}
	c := tls.Client(raw, config)
	echoes(t, c, "x")
	raw.read = nil
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
	if len(raw.read) < 5 || raw.read[0] != 0x15 {
		t.Errorf("the last the server sent is %x, want an alert", raw.read)
	}
}

// TestEncryptedAndPlainListeners beside each other.
func TestEncryptedAndPlainListeners(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) { c.Listen = append(c.Listen, "127.0.0.1:0") })
	echoes(t, dialTLS(t, e, ca.Client()), "encrypted")
	echoes(t, testclient.Dial(t, e.Listeners()[1].Addr.String()), "plain")
}
