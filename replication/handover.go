package replication

import (
	"slices"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

const (
	// signalLeaving is the kind of signal by which a node tells that it is about to
	// stop. It is repeated with every heartbeat, and holds for an election timeout.
	signalLeaving = 5

	// stalledRest is for how many election timeouts a leader whose disk stands still
	// goes on, when no voter has taken over, before it asks them again.
	stalledRest = 5

	// entriesAppendingMax is how many entries a leader may have handed to its append
	// worker that are not on its disk, however many the others have acknowledged:
	// they are in its memory.
	entriesAppendingMax = 256
)

// handover is the core's part in moving leadership to another voter on purpose. A
// leader has three reasons for it: it is about to stop, its disk stands still, or its
// disk is low (see spaces). A voter that takes over by raft's transfer needs no election timeout to pass, and
// the old leader's vote is one of those that it gets.
//
// raft proposes nothing while a transfer is under way, so the core keeps what it
// would propose. If the transfer succeeds, the origins send that to the new leader;
// if not, it is proposed after an election timeout, when raft gives the transfer up,
// and the next voter is asked. With nobody left to ask, a leader that is about to
// stop stops, and the others elect one as after a crash.
//
// Invariant: a node that is about to stop, or whose disk stands still, takes no
// steps to become the leader. Its disk is not needed for that: others may vote for
// a candidate that cannot write its own vote down.
type handover struct {
	leaving bool // HandOver was called
	over    bool // Effects.HandedOver was given

	ticks   int
	tried   []uint64       // voters that were asked since this node leads, or rested
	resting int            // no voter is asked before this tick, if the disk stands still
	heard   map[uint64]int // tick of the last message, by peer
	leavers map[uint64]int // tick of the last signalLeaving, by peer

	owed   int // responses that the append worker has not given yet
	silent int // ticks since it gave one, while it owes some
}

// Transfer tells that a leader asks a voter to take over.
type Transfer struct {
	To uint64

	// Stalled is for how long this node's disk has not answered, unless NoRoom tells
	// that its disk is low. Both are zero if the node is about to stop.
	Stalled time.Duration
	NoRoom  bool

	Asked bool // somebody wants it, or the leader is to be removed
}

// HandOver tells that this node is about to stop. Effects.HandedOver follows, once:
// when another node leads, or nobody can take over. The node takes part as before
// until it stops, but does not lead again.
func (c *Core) HandOver() {
	c.handover.leaving = true
	c.signalLeaving()
	c.moveLeadership()
}

// tickHandover counts, and does what is due.
func (c *Core) tickHandover() {
	h := &c.handover
	h.ticks++
	if h.owed > 0 {
		h.silent++
	}
	if h.leaving && h.ticks%c.cfg.HeartbeatTicks == 0 {
		c.signalLeaving()
	}
	c.moveLeadership()
}

// stalled reports whether the append worker owes an answer for an election timeout.
func (c *Core) stalled() bool { return c.handover.silent >= c.cfg.ElectionTicks }

// unfit reports whether this node must not become the leader.
func (c *Core) unfit() bool {
	return (c.handover.leaving || c.stalled()) && !c.cfg.bugs.has(bugStalledCampaign)
}

// moveLeadership asks a voter to take over, if there is a reason to and no other
// one is being asked.
func (c *Core) moveLeadership() {
	h := &c.handover
	s := c.raw.BasicStatus()
	switch {
	case s.RaftState != raft.StateLeader:
		h.tried = h.tried[:0]
		c.noteHandedOver(s.Lead)
	case h.leaving && h.over, !h.leaving && !c.stalled() && !c.lacksRoom():
	case !h.leaving && h.ticks < h.resting:
	case c.transferring() != raft.None && !h.isLeaving(c.transferring(), c.cfg.ElectionTicks):
		// raft gives it up after an election timeout.
	default:
		c.transfer()
	}
}

// transfer asks the next voter to take over.
func (c *Core) transfer() {
	h := &c.handover
	to := c.successor()
	switch {
	case to != raft.None:
		h.tried = append(h.tried, to)
		t := Transfer{To: to}
		if !h.leaving {
			t.NoRoom = !c.stalled()
			t.Stalled = time.Duration(h.silent) * c.cfg.Tick
		}
		c.eff.Transfers = append(c.eff.Transfers, t)
		c.transferLeader(to)
	case h.leaving:
		h.over, c.eff.HandedOver = true, true
	case len(h.tried) > 0:
		h.tried = h.tried[:0]
		h.resting = h.ticks + stalledRest*c.cfg.ElectionTicks
	}
}

// noteHandedOver takes who leads, while this node does not. When there has been no
// leader for as long as an election takes, there is nothing to wait for.
func (c *Core) noteHandedOver(leader uint64) {
	h := &c.handover
	if !h.leaving || h.over {
		return
	}
	if leader != raft.None && leader != c.cfg.ID || c.guard.leaderless >= 2*c.cfg.ElectionTicks {
		h.over, c.eff.HandedOver = true, true
	}
}

// successor returns the voter that is to be asked next, or raft.None: one that was
// heard of within an election timeout, is neither retired nor about to stop itself,
// and has the longest log of those. A leader whose disk stands still asks only who has
// entries on disk that it has not: there the disk works. One whose disk is low asks
// nobody whose disk is low too.
func (c *Core) successor() (best uint64) {
	h := &c.handover
	var own, match uint64
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == c.cfg.ID {
			own = pr.Match
		}
	})
	recent := func(id uint64) bool { return h.ticks-h.heard[id] <= c.cfg.ElectionTicks/2 }
	c.raw.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		at, heard := h.heard[id]
		switch {
		case id == c.cfg.ID, kind == raft.ProgressTypeLearner, c.members.Excludes(id), slices.Contains(h.tried, id),
			!heard, h.ticks-at > c.cfg.ElectionTicks, h.isLeaving(id, c.cfg.ElectionTicks),
			pr.State == tracker.StateSnapshot, !h.leaving && c.isLow(id), !h.leaving && c.stalled() && pr.Match <= own:
		case best == raft.None, recent(id) && !recent(best), recent(id) == recent(best) && pr.Match > match:
			best, match = id, pr.Match
		}
	})
	return best
}

// isLeaving reports whether a peer has said, within so many ticks, that it is about
// to stop.
func (h *handover) isLeaving(id uint64, ticks int) bool {
	at, said := h.leavers[id]
	return said && h.ticks-at <= ticks
}

// leavingSignalled takes that a peer is about to stop: if it was being asked to take
// over, another one is, at once.
func (c *Core) leavingSignalled(from uint64) {
	c.handover.leavers[from] = c.handover.ticks
	c.moveLeadership()
}

// signalLeaving tells the peers that this node is about to stop.
func (c *Core) signalLeaving() {
	for _, id := range c.peers() {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, 1), signalLeaving)
		c.eff.Signals = append(c.eff.Signals, Forward{id, payload})
	}
}

// handedToDisk notes what the append worker will answer for a message.
func (c *Core) handedToDisk(m *pb.Message) {
	for _, r := range m.GetResponses() {
		if r.GetTo() == c.cfg.ID {
			c.handover.owed++
		}
	}
}

// diskAnswered notes an answer of the append worker: the disk works.
func (c *Core) diskAnswered(responses []*pb.Message) {
	h := &c.handover
	h.owed -= len(responses)
	h.silent = 0
	for _, m := range responses {
		if m.GetType() == pb.MsgStorageAppendResp && m.GetIndex() > 0 {
			c.onDisk = m.GetIndex()
		}
	}
}
