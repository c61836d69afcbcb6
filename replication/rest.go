package replication

import (
	"time"

	"go.etcd.io/raft/v3"
)

// Rest returns how many ticks a node may take at once, late, without anybody noticing: a
// node that has nothing to do need not wake up for each of them. It is 1 while anything
// is under way that counts in ticks, or is looked after at each of them.
//
// A leader rests for as long as from one heartbeat to the next, a follower for half an election timeout, but
// never to a tick with which it may stand, nor for longer than to when it asks for a read
// lease again. It is called when Ready was carried out, and holds until the next input.
func (c *Core) Rest() int {
	switch {
	case c.busy():
		return 1
	case c.leads():
		return c.cfg.HeartbeatTicks
	case c.leader == raft.None:
		return 1
	}
	rest := min(c.cfg.ElectionTicks/2, c.cfg.ElectionTicks-2-c.promise.ticks)
	if c.wantsReadLease() {
		rest = min(rest, int((c.reading.next-c.mono+c.cfg.Tick-1)/c.cfg.Tick))
	}
	return max(1, rest)
}

// busy reports whether something is under way besides heartbeats.
func (c *Core) busy() bool {
	h := &c.handover
	return c.failed != nil || c.removed || c.campaignDue || c.resendDue || c.guard.verdict != VerdictOK ||
		c.space.own == SpaceLow || c.space.refusing ||
		c.commits.held != nil || h.leaving || h.owed > 0 || h.ticks < h.resting || c.transferee != raft.None ||
		c.members.joint() || len(c.asks.open) > 0 || c.learns() ||
		c.holders.moves != raft.None || len(c.holders.list) > 0 && c.commit < c.lastIndex ||
		len(c.ships.to) > 0 || len(c.history.wanted) > 0 || len(c.hints.queued) > 0 ||
		!c.reads.idle() || !c.origin.idle()
}

// learns reports whether a learner is to become a voter.
func (c *Core) learns() bool {
	for i := range c.members.Members {
		if m := &c.members.Members[i]; m.Learner && !m.Stays {
			return true
		}
	}
	return false
}

// idle reports whether nobody waits for a read.
func (r *reads) idle() bool {
	return r.inflight.empty() && r.forming.empty() && len(r.waiting) == 0
}

// idle reports whether nobody waits for a sub-batch.
func (o *origin) idle() bool {
	if len(o.parked) > 0 {
		return false
	}
	for i := range o.loops {
		if len(o.loops[i].numbered) > 0 {
			return false
		}
	}
	return true
}

// pulse counts the ticks of a raft loop by the clock. Ticks that were missed beyond a
// rest are not caught up: a process that did not run for a while must not stand because
// of that.
type pulse struct {
	ticker *time.Ticker // has a loop that rests look at the clock

	tick  time.Duration // between two of them
	last  time.Duration // when the last one was due
	rest  int           // see Core.Rest
	armed int           // the ticker's period, in ticks
}

func newPulse(tick, now time.Duration) *pulse {
	return &pulse{ticker: time.NewTicker(tick), tick: tick, last: now, rest: 1, armed: 1}
}

// due returns how many ticks are to be given at a time. All but one come before what has
// happened meanwhile, as a heartbeat that ends the count to an election.
func (p *pulse) due(now time.Duration) (before, after int) {
	n := int((now - p.last) / p.tick)
	switch {
	case n <= 0:
		return 0, 0
	case n > p.rest:
		n, p.last = p.rest, now-(now-p.last)%p.tick
	default:
		p.last += time.Duration(n) * p.tick
	}
	return n - 1, 1
}

// set takes how long the loop may rest now. The ticker is set to that at once if it is
// less than before, and otherwise when it has called: not for each request of a client.
// (It sets itself anew before the loop runs. A timer that the loop sets costs a wake-up
// more, of who waits for the network until the next timer.)
func (p *pulse) set(rest int, called bool) {
	p.rest = rest
	if rest < p.armed || rest > p.armed && called {
		p.armed = rest
		p.ticker.Reset(time.Duration(rest) * p.tick)
	}
}
