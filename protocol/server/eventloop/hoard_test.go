package eventloop

import (
	"bytes"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"unsafe"
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

// TestLargeInputGivesItsMemoryBack when it is over, although its client never stops to
// send: each small request comes with the beginning of the next one. A further large one
// comes whole.
func TestLargeInputGivesItsMemoryBack(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		const large, small, smalls = 8 * hoardMin, 1000, 20
		sent := pattern(2*large + smalls*small)
		k := hoarding{parts: []int{large}}
		for range smalls {
			k.parts = append(k.parts, small)
		}
		k.parts = append(k.parts, large)
		h := &hooks{readable: k.take}
		l, _, client := serve(t, h)
		send := func(upTo int) { // leaves the first half of a small part
			t.Helper()
			if _, err := client.Write(sent[:upTo]); err != nil {
				t.Fatal(err)
			}
			sent = sent[upTo:]
		}
		want := bytes.Clone(sent)
		const first = large + small/2
		send(first)
		await(t, l, "the large part is taken", func() bool { return len(k.got) == large && h.c.Buffered() == small/2 })
		if n := residentBytes(t, l, h.c); n < large {
			t.Fatalf("%d bytes are there of a hoard that had %d", n, large)
		}
		for i := range smalls - 1 {
			send(small)
			await(t, l, "a small part is taken", func() bool { return len(k.got) == large+(i+1)*small && h.c.Buffered() == small/2 })
		}
		if n := residentBytes(t, l, h.c); n > hoardMin {
			t.Errorf("%d bytes are kept for %d", n, small/2)
		}
		send(len(sent))
		await(t, l, "all is taken", func() bool { return len(k.got) == len(want) })
		if !bytes.Equal(k.got, want) {
			t.Error("what came is not what was sent")
		}
	})
}

// residentBytes is how much memory the hoard of a connection takes.
func residentBytes(t *testing.T, l Loop, c Conn) (n int) {
	t.Helper()
	onLoop(l, func() {
		memory := hoardOf(c).memory
		if memory == nil {
			return
		}
		pages := make([]byte, (len(memory)+os.Getpagesize()-1)/os.Getpagesize())
		if _, _, failed := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(unsafe.Pointer(&pages[0]))); failed != 0 {
			t.Errorf("ask which pages are there: %v", failed)
		}
		for _, page := range pages {
			n += int(page&1) * os.Getpagesize()
		}
	})
	return n
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
