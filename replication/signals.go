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
	n, err := r.ArrayLen(signalFieldsMax)
	if err != nil || n < 1 {
		return fmt.Errorf("read signal: array of %d: %w", n, errors.Join(err, errMalformed))
	}
	kind, err := r.Uint64()
	if err != nil {
		return fmt.Errorf("read kind of signal: %w", err)
	}
	switch kind {
	case signalClock:
		return c.clockSignalled(from, &r, n)
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

// clockSignalled takes a peer's wall clock and, of more than two fields, the cluster version
// that it can do.
func (c *Core) clockSignalled(from uint64, r *frame.Reader, fields int) error {
	wallMs, err := r.Int64()
	if err != nil {
		return fmt.Errorf("read clock signal: %w", err)
	}
	if wallMs < 0 || wallMs > stampMsMax {
		return fmt.Errorf("clock at %d ms: %w", wallMs, errMalformed)
	}
	version := uint64(ClusterVersionFormed)
	if fields > 2 {
		if version, err = r.Uint64(); err != nil {
			return fmt.Errorf("read cluster version of clock signal: %w", err)
		}
	}
	c.toldVersion(from, version)
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

// signalClock tells the peers this node's wall clock, once a second, and which cluster
// version it can do.
func (c *Core) signalClock() {
	if c.mono < c.nextSignal {
		return
	}
	c.nextSignal = c.mono + clockSignalGap
	fields := 2
	if c.cfg.Version > ClusterVersionFormed {
		fields++
	}
	for _, id := range c.peers() {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, fields), signalClock)
		payload = frame.AppendInt(payload, c.wall.UnixMilli())
		if fields > 2 {
			payload = frame.AppendUint(payload, c.cfg.Version)
		}
		c.eff.Signals = append(c.eff.Signals, Forward{id, payload})
	}
}
