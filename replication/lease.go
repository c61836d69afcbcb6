package replication

import (
	"cmp"
	"time"

	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Leases is which nodes may answer reads without asking a majority. The cluster is
// formed with it, and changes it by log entries, see ChangeLeases.
//
// It decides who relies on promises, never who makes them: all nodes do at all times. So
// it may be different on two nodes while it is changed, and a lease that was granted
// before stays what it is until it ends.
type Leases uint8

// The values of Leases.
const (
	LeasesFormed Leases = iota // as the cluster was formed; in ReplicaConfig: off
	LeasesOff
	LeasesLeader
	LeasesAll // the leader grants them to all others
	leasesEnd
)

// String names the value.
func (l Leases) String() string {
	return [...]string{"as formed", "off", "leader", "all", "unknown"}[min(l, leasesEnd)]
}

// leases is what this node has applied.
func (c *Core) leases() Leases { return cmp.Or(c.members.Leases, c.cfg.Leases, LeasesOff) }

const (
	// roundsMax is how many rounds of heartbeats a leader remembers.
	roundsMax = 64

	// roundsPerPromise bounds the rounds that begin while a promise lasts, so that
	// those of the last two promises are remembered.
	roundsPerPromise = roundsMax / 2

	// A lease lasts leaseNumerator/leaseDenominator of what it rests on: clocks may
	// run 10 % faster or slower than they should. (A clock that is slewed, by up to
	// 8.3 % with chrony, does.) So 0.8 by a slow clock is at most 0.89, and 1 by a fast
	// one at least 0.9.
	leaseNumerator, leaseDenominator = 4, 5
)

// Round numbers the rounds of heartbeats of a leader's term. It travels beside a
// heartbeat, and back beside the answer of who has accepted it. 0 is none.
type Round struct{ Term, Number uint64 }

// of returns the number that goes with a message of an Effects whose round r is. In
// one term a node either leads or answers a leader, so the term tells which round it is.
func (r Round) of(m *pb.Message) uint64 {
	switch m.GetType() {
	case pb.MsgHeartbeat, pb.MsgHeartbeatResp:
		if m.GetTerm() == r.Term {
			return r.Number
		}
	}
	return 0
}

func (r Round) before(other Round) bool {
	return r.Term < other.Term || r.Term == other.Term && r.Number < other.Number
}

// leaderLease is the core's part in the leader's lease.
//
// A majority, the leader included, that has acknowledged a round has promised after the
// round was sent to take part in no election for promiseSpan. Any other leader needs
// the vote of one of them. (While members change, its majority may be that of the
// configuration before or after this leader's; raft sees to it that those overlap.) So
// until 0.8 of that has passed since the round was sent, by this leader's clock,
// nobody else leads, and what is committed this node has committed, or has at least
// in its log.
//
// The time of a round is read before it is sent, and that of a promise after the
// heartbeat has come: see Core.Observe.
//
// Invariant: once a voter was told to take over (MsgTimeoutNow) there is no lease for
// the rest of the term, even if raft gives the transfer up: that message may still be
// on its way.
type leaderLease struct {
	term   uint64 // of what follows
	round  uint64 // the newest
	sent   [roundsMax]sentRound
	acked  map[uint64]uint64 // newest round, by peer
	over   bool              // a voter was told to take over
	until  time.Duration     // 0: there is none
	stale  bool              // something has changed that until depends on
	voters quorum.JointConfig
	self   uint64
}

type sentRound struct {
	round uint64
	at    time.Duration // before any of its heartbeats has left
}

// begin begins a term.
func (l *leaderLease) begin(term uint64) {
	l.term, l.round, l.over, l.until = term, 0, false, 0
	l.acked = make(map[uint64]uint64)
}

// follow takes who has a vote.
func (l *leaderLease) follow(conf *pb.ConfState, bugs bugs) {
	l.stale = true
	for i, half := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
		l.voters[i] = make(quorum.MajorityConfig, len(half))
		for _, id := range half {
			l.voters[i][id] = struct{}{}
		}
	}
	if bugs.has(bugLearnerSupports) {
		for _, id := range conf.GetLearners() {
			l.voters[0][id] = struct{}{}
		}
	}
}

// AckedIndex returns the newest round that a node has promised upon.
func (l *leaderLease) AckedIndex(id uint64) (quorum.Index, bool) {
	if id == l.self {
		return quorum.Index(l.round), true
	}
	round, ok := l.acked[id]
	return quorum.Index(round), ok
}

// leaves is called with each message that is about to leave this node. The effects that
// carry it carry a lease that heeds it, which is published first.
func (c *Core) leaves(m *pb.Message) {
	l := &c.lease
	if n := len(m.GetEntries()); n > 0 && c.cfg.bugs.has(bugSeenWhenSent) {
		a := c.holders.ack(m.GetTo())
		a.seen = max(a.seen, m.GetEntries()[n-1].GetIndex())
	}
	if m.GetType() != pb.MsgHeartbeat && m.GetType() != pb.MsgTimeoutNow {
		return
	}
	if m.GetTerm() != l.term {
		l.begin(m.GetTerm())
	}
	if m.GetType() == pb.MsgTimeoutNow {
		l.over = l.over || !c.cfg.bugs.has(bugLeaseOverTransfer)
		return
	}
	if !c.cfg.bugs.has(bugLeaderUnbound) {
		c.promiseFrom(c.mono)
	}
	// Heartbeats that follow soon are of the same round, and so count from when that
	// was sent.
	if gap := c.promise.span / roundsPerPromise; l.round == 0 || c.mono >= l.sent[l.round%roundsMax].at+gap {
		l.round++
		l.sent[l.round%roundsMax] = sentRound{l.round, c.mono}
		l.stale = true
	}
}

// acknowledged takes that a peer has accepted a round of this node's term.
func (c *Core) acknowledged(m *pb.Message, round uint64) {
	l := &c.lease
	if m.GetType() == pb.MsgHeartbeatResp && m.GetTerm() == l.term && round <= l.round && round > l.acked[m.GetFrom()] {
		l.acked[m.GetFrom()] = round
		l.stale = true
	}
}

// renewLease decides on the leader's lease, after all that has happened. It runs out
// while the disk does not answer, so that a leader whose disk stands still can hand
// over. A state in quarantine is shown to nobody.
func (c *Core) renewLease() {
	l := &c.lease
	switch {
	case !c.leads() || l.term != c.term || l.over || c.leases() == LeasesOff || c.guard.verdict == VerdictRepairing || c.removed:
		if !c.cfg.bugs.has(bugLeaseIntoTerm) {
			l.until, l.stale = 0, true
		}
	case time.Duration(c.handover.silent)*c.cfg.Tick >= c.promise.span/2:
	case l.stale:
		l.stale = false
		round := uint64(l.voters.CommittedIndex(l))
		if s := &l.sent[round%roundsMax]; round > 0 && s.round == round {
			l.until = max(l.until, s.at+leaseOf(c.promise.span))
		}
	}
}

// leaseOf returns how long a lease is that rests on something of length d.
func leaseOf(d time.Duration) time.Duration { return d * leaseNumerator / leaseDenominator }

// currentLease is what event loops may rely on.
func (c *Core) currentLease() Lease {
	until := c.lease.until
	if !c.leads() {
		until = max(until, c.readUntil())
	}
	return Lease{Until: until, Term: c.term, Known: c.known()}
}

// known is Lease.Known. What is committed in a leader's term is known as committed to
// nobody before it is to the leader. What was committed before is, once the leader has
// committed an entry of its own.
func (c *Core) known() uint64 {
	switch bugs := c.cfg.bugs; {
	case c.leads() && bugs.has(bugKnownIsApplied):
		return c.applied
	case c.leads() && (c.appliedTerm == c.term || bugs.has(bugKnownOfOthers)), bugs.has(bugKnownByHolder):
		return c.commit
	default:
		return 0
	}
}

// currentRound is what goes beside heartbeats, or their answers.
func (c *Core) currentRound() Round {
	if own := (Round{c.lease.term, c.lease.round}); c.accepted.before(own) {
		return own
	}
	return c.accepted
}
