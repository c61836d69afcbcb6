package eventloop

import (
	"container/list"
	"net"
	"testing"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/testcerts"
)

// TestHandshakesAreGivenUpOnce: when all are given up since the server stops, none gives way any
// more, and those that come then are not served.
func TestHandshakesAreGivenUpOnce(t *testing.T) {
	h, port := new(handshakes), handshake.NewPort()
	shaking := func() *wire {
		a, b := net.Pipe()
		t.Cleanup(func() { _ = b.Close() }) // nobody reads there
		return &wire{Conn: port.Conn(a)}
	}
	first := h.add(shaking())
	h.add(shaking())
	h.stop()
	if h.giveWay() {
		t.Error("one gives way that was given up")
	}
	late := h.add(shaking())
	h.stop()
	for _, e := range []*list.Element{first, late} {
		if h.remove(e) {
			t.Error("one is served after the stop")
		}
	}
}

// TestHandshakesThatGiveWayEnd even if none of them gets to compute: a flood of
// connections leaves behind no more than there may be.
func TestHandshakesThatGiveWayEnd(t *testing.T) {
	const most = 5
	ca := testcerts.NewAuthority(t, "authority")
	processors := handshake.NewProcessors()
	release := computeAll(t, processors.Port())
	e := newEngine(t, &loopHooks{open: echo}, encrypt(ca), func(c *Config) {
		c.MaxConnections, c.HandshakeTimeout, c.Handshakes = most, time.Hour, processors.Port()
	})
	first := hello(t)
	for range 20 * most {
		c := dial(t, e)
		if _, err := c.Write(first); err != nil {
			t.Fatal(err)
		}
	}
	e.awaitAccepted(t, 20*most)
	e.awaitOpen(t, most)
	release()
	echoes(t, dialTLS(t, e, ca.Client()), "after the flood")
}

// computeAll has handshakes of another port compute on all processors that there are for that,
// until the function that it returns is called.
func computeAll(t *testing.T, port *handshake.Port) (release func()) {
	t.Helper()
	var computing []*handshake.Conn
	for range handshake.Turns() {
		a, b := net.Pipe()
		c := port.Conn(a)
		go func() { _, _ = b.Write([]byte{1}) }()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		computing = append(computing, c)
	}
	return func() {
		for _, c := range computing {
			c.Over()
		}
	}
}
