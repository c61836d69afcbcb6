package handshake

import "sync/atomic"

// Counter counts handshakes. The zero value is ready. Any goroutine may use it.
type Counter struct {
	done   atomic.Uint64
	failed [ReasonCount]atomic.Uint64
}

// Count counts a handshake that has ended; err is nil if it has succeeded.
func (c *Counter) Count(err error) {
	if err == nil {
		c.done.Add(1)
		return
	}
	c.failed[ReasonOf(err)].Add(1)
}

// Tally returns what was counted.
func (c *Counter) Tally() (t Tally) {
	t.Done = c.done.Load()
	for r := range t.Failed {
		t.Failed[r] = c.failed[r].Load()
	}
	return t
}

// Tally is how many handshakes have ended how.
type Tally struct {
	Done   uint64
	Failed [ReasonCount]uint64
}

// Failures is how many have failed, for whatever reason.
func (t *Tally) Failures() (sum uint64) {
	for _, n := range t.Failed {
		sum += n
	}
	return sum
}
