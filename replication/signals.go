package replication

import (
	"errors"
	"fmt"
	"time"

	"raftcached/replication/frame"
)

// Signalled takes a peer's small message.
func (c *Core) Signalled(from uint64, payload []byte) error {
	r := frame.NewReader(payload)
	if n, err := r.ArrayLen(signalFieldsMax); err != nil || n < 1 {
		return fmt.Errorf("read signal: array of %d: %w", n, errors.Join(err, errMalformed))
	}
	kind, err := r.Uint64()
	if err != nil {
		return fmt.Errorf("read kind of signal: %w", err)
	}
	switch kind {
	case signalClock:
		return c.clockSignalled(from, &r)
	case signalHints:
		return c.hinted(&r)
	case signalDigest:
		return c.digestSignalled(from, &r)
	case signalRepair:
		return c.repairSignalled(from, &r)
	case signalSpace:
		return c.spaceSignalled(from, &r)
	case signalLeaving:
		c.leavingSignalled(from)
		return nil
	case signalAsk:
		return c.askSignalled(from, &r)
	case signalRefusal:
		return c.refusalSignalled(&r)
	case signalCommitted:
		return c.committedSignalled(&r)
	case signalWant:
		return c.wantSignalled(from, &r)
	case signalGrant:
		return c.grantSignalled(&r)
	case signalRecall:
		return c.recallSignalled(from, &r)
	case signalReturned:
		return c.returnedSignalled(from, &r)
	default:
		return nil // of a later version
	}
}

// clockSignalled takes a peer's wall clock.
func (c *Core) clockSignalled(from uint64, r *frame.Reader) error {
	wallMs, err := r.Int64()
	if err != nil {
		return fmt.Errorf("read clock signal: %w", err)
	}
	if wallMs < 0 || wallMs > stampMsMax {
		return fmt.Errorf("clock at %d ms: %w", wallMs, errMalformed)
	}
	offsetMs := wallMs - c.wall.UnixMilli()
	if c.members.votes(from) && c.clock.report(from, offsetMs, c.mono) {
		news := ClockDifference{Peer: from}
		if c.clock.peers[from].warned {
			news.Ahead = time.Duration(offsetMs) * time.Millisecond
		}
		c.eff.Clocks = append(c.eff.Clocks, news)
	}
	return nil
}

// signalClock tells the peers this node's wall clock, once a second.
func (c *Core) signalClock() {
	if c.mono < c.nextSignal {
		return
	}
	c.nextSignal = c.mono + clockSignalGap
	for _, id := range c.peers() {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, 2), signalClock)
		c.eff.Signals = append(c.eff.Signals, Forward{id, frame.AppendInt(payload, c.wall.UnixMilli())})
	}
}
