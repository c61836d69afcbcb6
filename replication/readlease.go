package replication

import (
	"fmt"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Signals of read leases, see doc.go.
const (
	signalWant     = 10 // of a node that wants one
	signalGrant    = 11 // of the leader
	signalRecall   = 12 // of a leader that is about to move leadership
	signalReturned = 13 // of a node that uses none any more
)

const (
	// wantGap is how often a node asks for a lease, while clients read there.
	wantGap = 20 * time.Millisecond

	// wantRest is how long after it has asked a node asks again that has nothing else to do, and
	// gets no heartbeat first. It is what leaves time to ask twice before a lease ends.
	wantRest = 3 * wantGap

	// wantAfterRead is for how long after a read it does.
	wantAfterRead = time.Second
)

// readLease is the core's part in a read lease that the leader has granted this node.
//
// It is valid in the grant's term, in the process that has asked for it, for 0.8 of its
// length from when that asked, and only once the log has come to the grant's goal in
// this term. How far the log has come is what messages of this term's leader have
// matched, never where it ends: it may end with entries of a leader that has lost.
type readLease struct {
	lastRead time.Duration // of a client, on this node's clock; 0: never
	next     time.Duration // when a lease is asked for again

	match position      // up to which a leader's messages have matched, and the term of them
	floor time.Duration // grants that were asked for no later are void

	term  uint64 // of the newest grant
	asked time.Duration
	until time.Duration
	goal  uint64
}

// Reading tells when a client has last read on this node, on the clock of Observe; 0:
// never.
func (c *Core) Reading(at time.Duration) { c.reading.lastRead = at }

// wantsReadLease reports whether clients read here, and a lease of the leader would help.
func (c *Core) wantsReadLease() bool {
	l := &c.reading
	return c.leases() == LeasesAll && !c.leads() && c.leader != raft.None && c.guard.verdict != VerdictRepairing && !c.removed &&
		l.lastRead != 0 && c.mono-l.lastRead <= wantAfterRead
}

// tickReadLease asks the leader for a lease, while clients read here.
func (c *Core) tickReadLease() {
	if c.wantsReadLease() && c.mono >= c.reading.next {
		c.askReadLease()
	}
}

// askWithHeartbeat asks for a lease earlier than it is due, if this node has nothing else
// to do: it is awake for a heartbeat, and the leader will be for the answer.
func (c *Core) askWithHeartbeat() {
	if c.wantsReadLease() && !c.busy() && c.mono >= c.reading.next-wantRest+wantGap {
		c.askReadLease()
	}
}

func (c *Core) askReadLease() {
	c.reading.next = c.mono + wantGap
	c.signalLease(c.leader, signalWant, c.term, c.cfg.Boot, uint64(c.mono), c.matched())
}

// matched is how far this node's log is known to be that of its term's leader; 0: it
// is not.
func (c *Core) matched() uint64 {
	switch {
	case c.cfg.bugs.has(bugLastIsMatched):
		return c.lastIndex
	case c.reading.match.term != c.term:
		return 0
	}
	return c.reading.match.index
}

func (c *Core) signalLease(to uint64, values ...uint64) {
	b := frame.AppendArrayLen(nil, len(values))
	for _, v := range values {
		b = frame.AppendUint(b, v)
	}
	c.eff.Signals = append(c.eff.Signals, Forward{to, b})
}

// grantSignalled takes a grant. One of another term or process is void, as is one that
// this node has asked for before it has given a lease back.
func (c *Core) grantSignalled(r *frame.Reader) error {
	in := memberReader{Reader: r}
	term, boot, asked, d, goal := in.uint(1<<63-1), in.uint(1<<63-1), time.Duration(in.uint(1<<63-1)), time.Duration(in.uint(uint64(grantMax))), in.uint(indexMax)
	if in.err != nil {
		return fmt.Errorf("read grant of a lease: %w", in.err)
	}
	l := &c.reading
	switch {
	case term != c.raw.BasicStatus().HardState.GetTerm(), boot != c.cfg.Boot && !c.cfg.bugs.has(bugBootIgnored),
		asked <= l.floor, term == l.term && asked <= l.asked:
		return nil
	}
	l.term, l.asked, l.until, l.goal = term, asked, asked+leaseOf(d), goal
	if !c.busy() && d >= grantMax {
		l.next = max(l.next, asked+wantRest)
	}
	return nil
}

// recallSignalled takes that the leader wants its leases back. The answer leaves after
// the lease is withdrawn: it is in the same effects.
func (c *Core) recallSignalled(from uint64, r *frame.Reader) error {
	in := memberReader{Reader: r}
	term := in.uint(1<<63 - 1)
	if in.err != nil {
		return fmt.Errorf("read recall of a lease: %w", in.err)
	}
	c.dropReadLease()
	c.signalLease(from, signalReturned, term, c.cfg.Boot, uint64(c.mono))
	return nil
}

// dropReadLease ends a lease, and makes void what was asked for until now.
func (c *Core) dropReadLease() { c.reading.until, c.reading.floor = 0, c.mono }

// toLog notes what goes to this node's log: how far it matches that of the leader,
// which is told by the acknowledgements that follow the write, and whether a snapshot
// replaces it.
func (l *readLease) toLog(m *pb.Message) {
	for _, r := range m.GetResponses() {
		if r.GetType() != pb.MsgAppResp || r.GetReject() || r.GetTo() == m.GetFrom() {
			continue
		}
		if t, i := r.GetTerm(), r.GetIndex(); t > l.match.term || t == l.match.term && i > l.match.index {
			l.match = position{index: i, term: t}
		}
	}
}

// readUntil is until when this node may answer reads by a grant.
func (c *Core) readUntil() time.Duration {
	l := &c.reading
	reached := c.matched() >= l.goal || c.cfg.bugs.has(bugGoalIgnored)
	if l.term != c.term || !reached || c.guard.verdict == VerdictRepairing || c.removed {
		return 0
	}
	return l.until
}
