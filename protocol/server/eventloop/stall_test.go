package eventloop

import (
	"io"
	"testing"
)

// TestStalledClientIsReported, again and again, while something waits for it.
func TestStalledClientIsReported(t *testing.T) {
	for name, halfClose := range map[string]bool{"open": false, "half closed": true} {
		t.Run(name, func(t *testing.T) {
			write := func(c Conn) {
				c.Write(pattern(muchBytes))
				c.NotifyOutbound(0)
			}
			h := &hooks{readable: write, inputEnded: write}
			l, _, client := serve(t, h)
			if halfClose {
				if err := client.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				h.await(t, "input ended")
			} else {
				if _, err := io.WriteString(client, "x"); err != nil {
					t.Fatal(err)
				}
				h.await(t, "readable")
			}
			for range 2 {
				onLoop(l, func() { h.c.(*gnetConn).stalled = StallTimeout }) // as after StallTimeout
				h.await(t, "stalled")
			}
			if _, err := io.CopyN(io.Discard, client, muchBytes); err != nil {
				t.Fatal(err)
			}
			h.await(t, "writable")
		})
	}
}

// TestOthersDoNotHastenAStall: polls come faster while another client takes its
// output, and a client that takes none still has StallTimeout.
func TestOthersDoNotHastenAStall(t *testing.T) {
	slow := &hooks{events: make(chan string, 1<<16), readable: func(c Conn) {
		c.Write(pattern(muchBytes))
		c.NotifyOutbound(0)
	}}
	quick := &hooks{events: make(chan string, 1<<16)}
	quick.readable = func(c Conn) { c.NotifyOutbound(0) }
	quick.writable = quick.readable // each poll finds that it has taken everything
	next := []*hooks{slow, quick}
	l := &loopHooks{open: func(c Conn) Handler {
		h := next[0]
		next, h.c = next[1:], c
		return h
	}}
	e := newEngine(t, l)
	for _, h := range []*hooks{slow, quick} {
		if _, err := io.WriteString(dial(t, e), "x"); err != nil {
			t.Fatal(err)
		}
		h.await(t, "readable")
	}
	for range 2 * StallTimeout / pollDelayMax {
		quick.await(t, "writable")
	}
	select {
	case event := <-slow.events:
		t.Errorf("the slow connection is %s after much less than %v", event, StallTimeout)
	default:
	}
}
