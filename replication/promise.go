package replication

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// campaignTransfer is the context of a vote that raft's transfer of leadership asks
// for.
const campaignTransfer = "CampaignTransfer"

// promise is what a leader's lease rests on: until the given time this node takes part
// in no election, neither with a vote nor by asking for one.
//
// A follower promises when it accepts a message of the leader of its term, the leader
// when it sends a round of heartbeats, and a process when it starts, because it may
// have promised before. It lasts promiseSpan on this node's clock. Nothing releases it
// but time: no higher term, and not that a leader steps down.
//
// It does not ask whether there are leases: a leader may have applied that they are
// switched on before others have, and relies on their promises from then on.
//
// Only an election by raft's transfer is no concern of it: the leader's lease has ended
// for its term before it asks a voter to take over.
//
// An election is not slower for it. raft begins one after electionTicks at least, and
// the promise is two ticks shorter. Where ticks come so fast that raft would begin
// sooner, the last one waits.
type promise struct {
	span  time.Duration // how long one lasts
	until time.Duration
	begun bool // the clock was read

	ticks int // given to raft since it began to count to an election, or more
	turn  int // given to raft since the last Ready
}

// promiseSpan is the election timeout less two ticks.
func promiseSpan(cfg *Config) time.Duration {
	return time.Duration(cfg.ElectionTicks-2) * cfg.Tick
}

// promiseFrom promises from a time on. It must not be before what is promised is
// known to anybody.
func (c *Core) promiseFrom(at time.Duration) {
	if c.cfg.bugs.has(bugPromiseWhenSwitched) && c.leases() == LeasesOff {
		return
	}
	c.promise.until = max(c.promise.until, at+c.promise.span)
}

// hadOthers reports whether there may be other members than this node, the only voter,
// or may have been: it has promised something then, to a leader before it, or as the
// leader to them. Changes that are committed but not applied are not looked for: raft
// lets nobody stand before they are.
func (c *Core) hadOthers(last uint64) (bool, error) {
	if c.members.Version > 0 {
		return true, nil
	}
	for i := c.raw.BasicStatus().HardState.GetCommit() + 1; i <= last; {
		ents, err := c.cfg.Log.Log.Entries(i, last+1, applyBytesMax)
		if err != nil {
			return false, fmt.Errorf("read entries after %d: %w", i-1, err)
		}
		for _, e := range ents {
			if e.GetType() == pb.EntryConfChangeV2 {
				return true, nil
			}
		}
		i += uint64(len(ents))
	}
	return false, nil
}

// campaignAlone has the only voter stand once it is not bound any more.
func (c *Core) campaignAlone() {
	if c.campaignDue && !c.bound() && c.raw.BasicStatus().Applied >= c.commit {
		c.campaignDue = false
		if c.members.sole(c.cfg.ID) {
			c.mayStand(func() { _ = c.raw.Campaign() }) // should it fail, ticks lead to another one
		}
	}
}

// observed is called when the clock was read.
func (p *promise) observed(mono time.Duration, bugs bugs) {
	if !p.begun && !bugs.has(bugStartUnbound) {
		p.until = mono + p.span
	}
	p.begun = true
}

// bound reports whether this node may take no part in an election.
func (c *Core) bound() bool {
	p := &c.promise
	return !p.begun || c.mono < p.until
}

// withheld reports whether a message would break the promise, whoever it is from.
func (c *Core) withheld(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote:
		return c.bound() && string(m.GetContext()) != campaignTransfer
	default:
		return false
	}
}

// promiseLeader is called when a message of a peer was stepped. If it is of the leader
// of its term and raft has accepted it, this node promises, and then acknowledges the
// round.
//
// Whether raft has accepted it only raft can tell: one of a term that this node has
// left was not, and the round must not be acknowledged, because this node may have
// voted since.
func (c *Core) promiseLeader(m *pb.Message, round uint64) {
	switch m.GetType() {
	case pb.MsgHeartbeat, pb.MsgApp, pb.MsgSnap:
	default:
		return
	}
	if c.failed != nil {
		return
	}
	s := c.raw.BasicStatus()
	if s.HardState.GetTerm() != m.GetTerm() || s.Lead != m.GetFrom() {
		return
	}
	c.promiseFrom(c.mono)
	c.promise.ticks = 0
	if m.GetType() != pb.MsgHeartbeat {
		return
	}
	if accepted := (Round{m.GetTerm(), round}); c.accepted.before(accepted) {
		c.accepted = accepted
	}
	c.askWithHeartbeat()
}

// mayTick reports whether raft may have a tick. While this node is bound, one that could
// begin an election waits: raft would count until the next one otherwise. It is also
// what keeps a node bound that needs nobody's vote but its own.
func (c *Core) mayTick() bool {
	p := &c.promise
	if c.bound() && p.ticks >= c.cfg.ElectionTicks-1 && c.raw.BasicStatus().RaftState != raft.StateLeader {
		return false
	}
	p.ticks++
	p.turn++
	return true
}
