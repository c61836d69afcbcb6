package eventloop

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// hoarding is a handler that takes its input in parts of any size, each when it is
// whole, and has what it has taken.
type hoarding struct {
	parts []int
	got   []byte
}

func (h *hoarding) take(c Conn) {
	for len(h.parts) > 0 && c.Buffered() >= h.parts[0] {
		h.got = append(h.got, c.Peek()[:h.parts[0]]...)
		c.Discard(h.parts[0])
		h.parts = h.parts[1:]
	}
}

// TestLargeInputComesWhole, whichever way it is cut, and what follows it.
func TestLargeInputComesWhole(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		sent := pattern(5 << 20)
		random := rand.New(rand.NewPCG(1, 1))
		var k hoarding
		for left := len(sent); left > 0; left -= k.parts[len(k.parts)-1] {
			n := 1 + random.IntN(300)
			if random.IntN(4) == 0 {
				n = hoardMin/2 + random.IntN(8*hoardMin)
			}
			k.parts = append(k.parts, min(n, left))
		}
		parts := len(k.parts)
		h := &hooks{readable: k.take}
		l, _, client := serve(t, h)
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		await(t, l, "all is taken", func() bool { return len(k.got) == len(sent) })
		if !bytes.Equal(k.got, sent) {
			t.Errorf("what came in %d parts is not what was sent", parts)
		}
		onLoop(l, func() {
			if kept := hoardOf(h.c).memory; kept != nil {
				t.Errorf("%d bytes are still kept", len(kept))
			}
		})
	})
}

// TestLargeInputThatIsNotTaken is there when the client ends it, and after that.
func TestLargeInputThatIsNotTaken(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		sent := pattern(4 * hoardMin)
		h := &hooks{}
		l, _, client := serve(t, h)
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		h.await(t, "input ended")
		onLoop(l, func() {
			if got := h.c.Peek(); h.c.Buffered() != len(sent) || !bytes.Equal(got, sent) {
				t.Errorf("%d of %d bytes are there", h.c.Buffered(), len(sent))
			}
			h.c.Close()
		})
		h.await(t, "closed")
	})
}

// TestCloseWhileLargeInputIsLookedAt: the handler goes on with it after the close.
func TestCloseWhileLargeInputIsLookedAt(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		sent := pattern(4 * hoardMin)
		equal := make(chan bool, 1)
		h := &hooks{readable: func(c Conn) {
			if c.Buffered() == len(sent) {
				input := c.Peek()
				c.Close()
				equal <- bytes.Equal(input, sent)
			}
		}}
		l, _, client := serve(t, h)
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		h.await(t, "closed")
		if !<-equal {
			t.Error("the input has changed")
		}
		await(t, l, "the memory is given back", func() bool { return loopOf(h.c).spare != nil })
	})
}

// hoardOf returns the hoard of a connection of either kind.
func hoardOf(c Conn) *hoard {
	if encrypted, ok := c.(*tlsConn); ok {
		return &encrypted.in.hoard
	}
	return &c.(*gnetConn).hoard
}

// loopOf returns the loop of a connection of either kind.
func loopOf(c Conn) *gnetLoop {
	if encrypted, ok := c.(*tlsConn); ok {
		return encrypted.loop
	}
	return c.(*gnetConn).loop
}
