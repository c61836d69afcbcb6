package peer

import (
	"math/rand/v2"
	"time"
)

const (
	redialMin = 10 * time.Millisecond
	redialMax = 500 * time.Millisecond
)

// redial is how long a sender waits before it dials again: longer after each attempt that
// fails, and not long after a connection, so that a server that was restarted is found at
// once. But a handshake alone does not show that a peer can be spoken with: it may end each
// connection when it is sent something. So the wait after a connection grows, too, with each
// one in a row that was shorter than redialMax. Who lasts that long is not dialed more often
// than who cannot be reached.
type redial struct {
	wait  time.Duration // before the next attempt; 0: redialMin
	short time.Duration // after the next connection that does not last; 0: redialMin
}

// ended notes that there was a connection, and how long.
func (r *redial) ended(after time.Duration) {
	if after >= redialMax {
		r.short = 0
	}
	r.wait = max(r.short, redialMin)
	r.short = min(2*r.wait, redialMax)
}

// next returns how long to wait now, half as long or half as long again: streams and servers
// are not to dial all at once.
func (r *redial) next() time.Duration {
	wait := max(r.wait, redialMin)
	r.wait = min(2*wait, redialMax)
	return wait/2 + rand.N(wait)
}
