package replication

import (
	"fmt"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
)

const (
	// hintSignalGap is how often a node sends its hints to the leader.
	hintSignalGap = 50 * time.Millisecond

	// hintShareDivisor bounds the hints of the log to a tenth of the bytes of its
	// sub-batches.
	hintShareDivisor = 10

	// hintsCarriedBytesMax bounds the share that entries left unused and later
	// ones may use: a small entry's own share is less than one hint.
	hintsCarriedBytesMax = 8 << 10

	// hintsWaitingBytesMax bounds what waits on the leader for entries: the hints
	// of one gap from each of a few nodes.
	hintsWaitingBytesMax = 4 * hintsBytesMax
)

// hints is a bounded queue of read hints. Beyond the bound they are dropped: a
// lost hint costs hit ratio, never correctness.
type hints struct{ queued []byte }

// add queues the whole hints of hashes that fit below bytesMax.
func (h *hints) add(hashes []byte, bytesMax int) {
	n := min(len(hashes), bytesMax-len(h.queued))
	h.queued = append(h.queued, hashes[:n-n%hintBytes]...)
}

// take removes the oldest hints, whole ones of up to bytesMax bytes, and returns
// them.
func (h *hints) take(bytesMax int) []byte {
	n := min(len(h.queued), bytesMax)
	n -= n % hintBytes
	taken := h.queued[:n]
	if h.queued = h.queued[n:]; len(h.queued) == 0 {
		h.queued = nil
	}
	return taken
}

// Hint takes hashes of items that were read on this node. They reach the state
// machines of all nodes, or are lost; they never make an entry necessary.
func (c *Core) Hint(hashes []byte) { c.hints.add(hashes, hintsBytesMax) }

// signalHints passes what was gathered to the leader, every hintSignalGap.
func (c *Core) signalHints() {
	if len(c.hints.queued) == 0 || c.leader == raft.None || c.mono < c.nextHints {
		return
	}
	c.nextHints = c.mono + hintSignalGap
	hashes := c.hints.take(hintsBytesMax)
	if c.leads() {
		c.batcher.hint(hashes)
		return
	}
	payload := frame.AppendUint(frame.AppendArrayLen(make([]byte, 0, len(hashes)+8), 2), signalHints)
	c.eff.Signals = append(c.eff.Signals, Forward{c.leader, frame.AppendBytes(payload, hashes)})
}

// hinted takes a peer's hints. Only a leader has a use for them.
func (c *Core) hinted(r *frame.Reader) error {
	hashes, err := readHints(r)
	if err != nil {
		return err
	}
	if len(r.Rest()) != 0 {
		return fmt.Errorf("signal of hints has %d bytes too many: %w", len(r.Rest()), errMalformed)
	}
	if c.leads() {
		c.batcher.hint(hashes)
	}
	return nil
}
