package peer

import (
	"net"
	"slices"
	"sync"
)

// handshakesMax is how many connections may be in their handshake at one time. One more
// ends the one that has taken longest: a peer needs milliseconds, so that whoever opens
// connections and says nothing keeps out nobody but himself.
const handshakesMax = 64

// handshakes are the connections that were accepted, and of which is not known yet whose
// they are.
type handshakes struct {
	mu   sync.Mutex
	open []net.Conn // the oldest first
}

// begin takes a connection in, and reports whether another one was closed for it.
func (h *handshakes) begin(conn net.Conn) (cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cut = len(h.open) >= handshakesMax; cut {
		_ = h.open[0].Close()
		h.open = slices.Delete(h.open, 0, 1)
	}
	h.open = append(h.open, conn)
	return cut
}

// end takes a connection out that has ended its handshake, in whatever way.
func (h *handshakes) end(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = slices.DeleteFunc(h.open, func(c net.Conn) bool { return c == conn })
}
