package replication

import (
	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Effects is what a Core wants done. Lists are in order.
type Effects struct {
	Lease    Lease         // as of now; to be published before anything else is done
	Messages []*pb.Message // to peers
	Round    Round         // goes with some of them
	Ships    []Ship        // snapshots to peers; Shipped must follow each
	Fetch    Fetch         // entries to be read from the log, if First is set; Fetched must follow
	Append   []*pb.Message // MsgStorageAppend, for the append worker
	Apply    []*pb.Message // MsgStorageApply, for the applier
	Forwards []Forward     // sub-batches to the leader
	Signals  []Forward     // small messages to peers
	Expired  []Expiry
	Reads    []ReadsDone
	Judged   []Judgement // to be logged
	Repairs  []Repair    // for the applier; Shipped must follow each
	Freeze   bool        // the applier is to be frozen, and an image of its state kept

	Transfers  []Transfer // begun, to be logged
	Clocks     []ClockDifference
	Offset     *int64      // of log time, to be logged: this leader corrects it
	HandedOver bool        // what HandOver has asked for is done, as far as it can be
	Outcomes   []Outcome   // of what was asked for by an ID
	Members    *Membership // as of now, if they changed; else nil
	Snapshot   uint64      // the applier is to have a snapshot of this index or later; 0: no

	// Failed is why the node must stop. It comes alone.
	Failed error

	// OneByOne: entries have come one by one lately, each when all before it were committed:
	// nothing is gained by waiting for more.
	OneByOne bool
}

// Forward is a payload for a peer.
type Forward struct {
	To      uint64
	Payload []byte
}

// Expiry tells an event loop that its sub-batch was not applied in time.
type Expiry struct {
	Loop int
	Tag  uint64
	Sent bool // it may still be applied, or may have been
	Why  Refusal
}

// ReadsDone answers the N oldest reads of an event loop.
type ReadsDone struct {
	Loop, N int
	OK      bool
}

// AppliedUpTo is what the applier reports to the core.
type AppliedUpTo struct {
	Index   uint64
	Term    uint64 // of the entry at Index
	StampMs int64
	Own     []OwnSeq // this node's sub-batches that took effect

	// Installed tells that the state was replaced by a snapshot: what took
	// effect in it has no answers.
	Installed bool
	Gap       bool          // one of this node's sub-batches came before its predecessor
	Done      []*pb.Message // responses to raft

	// Changes of the members, in order; raft is to be told before Done. Members are
	// as of Index, if they changed or a snapshot brought them; else nil.
	Changes []AppliedChange
	Members *Membership

	Refused []RefusedEntry // no program can read them

	Digests []StateDigest // at the indexes at which nodes compare their states
	Repair  RepairStage   // the latest, if anything changed
}

// RefusedEntry is an entry that has no effect on any node, from what cannot be read in
// it on.
type RefusedEntry struct {
	Index  uint64
	Reason error
}

// OwnSeq is the last sequence number of an event loop that took effect.
type OwnSeq struct {
	Loop int
	Seq  uint64
}

// Ready gives out the effects of all inputs since the last call; eff is reused.
//
// A sole voter that was started again does not know what it had committed, until
// an entry of its new term is: raft would confirm its reads before that.
func (c *Core) Ready(eff *Effects) {
	c.gather()
	if c.failed != nil {
		*eff = Effects{Failed: c.failed}
		return
	}
	c.eff.Lease, c.eff.Round, c.eff.OneByOne = c.currentLease(), c.currentRound(), c.oneByOne >= oneByOneMin
	c.promise.turn = 0
	*eff, c.eff = c.eff, eff.reset()
}

// gather completes the effects.
func (c *Core) gather() {
	defer rescue(c.fail)
	c.takeReady()
	c.propose()
	c.refuseNew()
	if c.leader != raft.None {
		c.origin.number(c.mono, c.send)
	}
	c.askForReads()
	c.propose()
	c.takeReady()
	c.reads.support.asking = false
	c.renewLease()
	c.flushForward()
	if c.eff.Members != nil { // told once the log says that they are committed
		c.logCommit()
	}
	c.eff.Fetch = c.nextFetch()
}

// reset returns empty effects that use the memory of e. What e was of is let go: to a
// server that catches up, inFlightBytesMax are sent at once.
func (e *Effects) reset() Effects {
	clear(e.Messages)
	clear(e.Append)
	clear(e.Apply)
	clear(e.Forwards)
	return Effects{
		Messages: e.Messages[:0], Ships: e.Ships[:0], Append: e.Append[:0], Apply: e.Apply[:0],
		Forwards: e.Forwards[:0], Signals: e.Signals[:0], Expired: e.Expired[:0], Reads: e.Reads[:0],
		Judged: e.Judged[:0], Repairs: e.Repairs[:0], Transfers: e.Transfers[:0], Outcomes: e.Outcomes[:0],
		Clocks: e.Clocks[:0],
	}
}

// takeReady moves raft's outstanding work to the effects.
func (c *Core) takeReady() {
	for c.failed == nil && c.raw.HasReady() {
		c.history.applies = true
		rd := c.raw.Ready()
		c.history.applies = false
		if len(rd.Messages) == 0 && len(rd.ReadStates) == 0 && rd.SoftState == nil {
			break // it waits for entries that are fetched
		}
		for _, m := range rd.Messages {
			c.dispatch(m)
		}
		for i := range rd.ReadStates {
			c.confirmed(&rd.ReadStates[i])
		}
		c.reportRefused()
	}
	c.reads.applied(c.applied, c.readsDone)
	c.noteStatus()
}

func (c *Core) dispatch(m *pb.Message) {
	switch {
	case c.barred(m), c.withheld(m), c.reads.support.spared(m), isNoAnswer(m):
	case m.GetFrom() != c.cfg.ID: // raft forwards another node's read, which is asked again
	case m.GetTo() == raft.LocalAppendThread:
		if n := len(m.GetEntries()); n > 0 {
			c.noteOneByOne(m.GetEntries())
			c.lastIndex = m.GetEntries()[n-1].GetIndex()
		}
		c.reading.toLog(m)
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			c.dropReadLease()
			c.lastIndex = s.GetMetadata().GetIndex()
			c.confIndex = c.lastIndex // raft has its configuration
		}
		c.toLog(m)
	case m.GetTo() == raft.LocalApplyThread:
		c.eff.Apply = append(c.eff.Apply, m)
	case m.GetType() == pb.MsgSnap:
		c.ship(m)
	default:
		c.leaves(m)
		c.tellsCommit(m)
		c.eff.Messages = append(c.eff.Messages, m)
	}
}

// noteOneByOne counts entries that come alone.
func (c *Core) noteOneByOne(entries []*pb.Entry) {
	if len(entries) == 1 && c.commit >= entries[0].GetIndex()-1 {
		c.oneByOne++
	} else {
		c.oneByOne = 0
	}
}

// noteStatus acts on a change of (term, leader): everything unapplied is sent
// to the new leader once, and reads in flight are asked for again.
func (c *Core) noteStatus() {
	s := c.raw.BasicStatus()
	c.commit = s.HardState.GetCommit()
	if c.pace.committed(c.commit, c.mono); s.RaftState != raft.StateLeader {
		c.pace.follow()
	}
	if s.RaftState != c.state || s.HardState.GetTerm() != c.term || s.Lead != c.leader {
		c.promise.ticks = c.promise.turn // raft counts anew since then
	}
	if s.RaftState != raft.StateLeader && c.leads() {
		c.batcher.clear()
	}
	c.state, c.transferee = s.RaftState, s.LeadTransferee
	if s.HardState.GetTerm() == c.term && s.Lead == c.leader {
		return
	}
	c.term, c.leader = s.HardState.GetTerm(), s.Lead
	c.holders.begin(0)
	if c.leads() {
		c.holders.begin(c.term)
	}
	c.formDue = c.leads()
	c.nextSignal = c.mono // a new leader needs to know the clocks
	c.clock.begin(c.mono, min(clockPatience, c.cfg.RequestTimeout/2))
	c.changeIndex = c.lastIndex
	c.asks.refused = nil
	c.reads.begin()
	c.forward.n, c.forward.subs = 0, c.forward.subs[:0]
	if c.leader != raft.None {
		c.resendDue = false
		c.origin.resend(c.mono, c.send)
		c.noteHandedOver(c.leader)
	}
}

// send passes a numbered sub-batch of this node to the leader.
func (c *Core) send(s *SubBatch) {
	if c.leads() {
		c.batcher.addOwn(s)
		return
	}
	c.forward.subs = appendSubBatch(c.forward.subs, s)
	c.forward.n++
	if len(c.forward.subs) >= entryBytesMax {
		c.flushForward()
	}
}

// flushForward makes one payload of what send gathered for the leader.
func (c *Core) flushForward() {
	if c.forward.n == 0 {
		return
	}
	payload := frame.AppendArrayLen(make([]byte, 0, len(c.forward.subs)+5), c.forward.n)
	c.eff.Forwards = append(c.eff.Forwards, Forward{c.leader, append(payload, c.forward.subs...)})
	c.forward.n, c.forward.subs = 0, c.forward.subs[:0]
}

// propose turns what the batcher holds into entries, or proposes an empty one
// if the state only waits for time to pass.
func (c *Core) propose() {
	if !c.leads() || c.transferee != raft.None || !c.settleClock() || !c.form() {
		return
	}
	c.batcher.committed(c.commit)
	for c.batcher.ready(c.lastIndex-c.commit) && c.lastIndex < c.onDisk+entriesAppendingMax {
		before := c.batcher.bytes
		if entry := c.batcher.entry(c.stamp()); c.proposeEntry(entry) {
			c.batcher.proposed(c.lastIndex, before-c.batcher.bytes)
		}
	}
	// Without a majority the indexes still have to move on, or none could appear.
	// raft tries to leave a joint configuration when an entry is applied.
	due := c.cfg.NextDueMs() <= c.stamp() || c.guard.verdict == VerdictNoMajority || c.members.joint()
	if c.mono >= c.nextDueTick && due {
		c.proposeEntry(encodeEntry(c.stamp(), nil, 0, nil))
		c.nextDueTick = c.mono + dueTickGap
	}
}

// proposeEntry appends an entry to the leader's log, or reports false. raft
// refuses only while leadership is being handed over, when propose does not ask it
// to; the entry's origins would send it again.
func (c *Core) proposeEntry(data []byte) bool {
	if c.raw.Propose(data) != nil {
		return false
	}
	c.lastIndex++
	c.pace.proposed(c.lastIndex, c.mono)
	return true
}

// leads reports whether this node was the leader as of the last Ready.
func (c *Core) leads() bool { return c.state == raft.StateLeader }

// alone reports whether this node is the only voter, and knows all that was ever
// committed: an entry of its own term is applied.
func (c *Core) alone() bool {
	return c.members.sole(c.cfg.ID) && c.leads() && c.appliedTerm == c.term
}

func (c *Core) stamp() int64 { return c.clock.stamp(c.mono) }

func (c *Core) readsDone(loop, n int, ok bool) {
	c.eff.Reads = append(c.eff.Reads, ReadsDone{loop, n, ok})
}
