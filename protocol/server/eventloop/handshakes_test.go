package eventloop

import (
	"container/list"
	"net"
	"testing"
)

// TestHandshakesAreGivenUpOnce: when all are given up since the server stops, none gives way any
// more, and those that come then are not served.
func TestHandshakesAreGivenUpOnce(t *testing.T) {
	h := newHandshakes()
	shaking := func() *wire {
		a, b := net.Pipe()
		t.Cleanup(func() { _ = b.Close() }) // nobody reads there
		return &wire{Conn: a, gone: make(chan struct{})}
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
