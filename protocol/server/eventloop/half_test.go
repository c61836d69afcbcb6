package eventloop

import (
	"errors"
	"io"
	"testing"
)

// TestHalfClosedClientsAreNotPolled: one that takes nothing costs nothing meanwhile, and
// what it takes then is seen. One that goes is noticed.
func TestHalfClosedClientsAreNotPolled(t *testing.T) {
	for name, goes := range map[string]bool{"it reads": false, "it goes": true} {
		t.Run(name, func(t *testing.T) {
			h := &hooks{inputEnded: func(c Conn) {
				c.Write(pattern(2 * muchBytes))
				c.NotifyOutbound(muchBytes)
			}}
			l, e, client := serve(t, h)
			if err := client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			h.await(t, "input ended")
			await(t, l, "a goroutine waits for the client, and no timer", func() bool {
				c := h.c.(*gnetConn)
				return c.half.writes && !c.loop.pollArmed && len(c.loop.polled) == 0
			})
			if goes {
				if err := errors.Join(client.SetLinger(0), client.Close()); err != nil { // with a reset
					t.Fatal(err)
				}
				h.await(t, "closed")
				return
			}
			if _, err := io.CopyN(io.Discard, client, muchBytes); err != nil {
				t.Fatal(err)
			}
			h.await(t, "writable")
			onLoop(l, func() {
				if n := h.c.Outbound(); n == 0 || n > muchBytes {
					t.Errorf("%d bytes wait for the client, want 1 to %d", n, muchBytes)
				}
				h.c.Close() // while the goroutine waits
			})
			if n := e.Counts().Open; n != 0 {
				t.Errorf("%d connections are open", n)
			}
		})
	}
}
