package replication

import (
	"fmt"
	"math"
	"slices"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	signalDigest = 3 // kinds of signals, see doc.go
	signalRepair = 4

	// signalFieldsMax bounds the fields of a signal, those of later versions
	// included.
	signalFieldsMax = 16

	// repairGap is how often a node tells its newest digest again, asks again for
	// a repair, and hands its leadership on again.
	repairGap = time.Second

	// campaignPatience is for how many election timeouts without a leader a node
	// in quarantine leaves the election to the others.
	campaignPatience = 10
)

// quarantine is the core's part in comparing states, and in replacing one that
// is in the minority.
//
// The log is the truth, and a state is what applying it has made. So raft goes
// on with a diverged node, which votes and appends as ever: it is the state that
// is shut away. Its applier is frozen, its clients are refused, and a node that
// holds the majority's state is asked for it until the applier reports that the
// state was replaced.
//
// Invariant: outside VerdictOK every sub-batch and, in quarantine, every read is
// answered as it comes; nothing older is unanswered then, so that the order of
// answers is that of the tags.
type quarantine struct {
	states  divergence
	verdict Verdict
	digests *[]StateDigest // for Status: this node's own, in a list that is never changed
	holders []uint64       // in quarantine: whom to ask, and to hand leadership to
	turn    int            // counts askings: holders take turns
	stage   RepairStage

	next       time.Duration // of what is done every repairGap
	leaderless int           // ticks since a leader was known
}

// RepairStage is how far the applier has come with a repair.
type RepairStage uint8

// The stages.
const (
	RepairNone   RepairStage = iota // nothing was said
	RepairFrozen                    // the state stays what it is at AppliedUpTo.Index
	RepairAtHand                    // its replacement is on disk, the log is not there yet
	RepairDone                      // the state was replaced
)

// Judgement tells that the verdict on this node's state has changed.
type Judgement struct {
	Verdict Verdict
	Index   uint64 // at which states were compared; 0 if it is over by a repair
	Digests []VoterDigest
}

// VoterDigest is what one voter said of its state.
type VoterDigest struct {
	Voter uint64
	StateDigest
}

// Repair tells that a peer wants this node's state, as of Index or later.
type Repair struct{ To, Index uint64 }

// StartInQuarantine makes the node distrust the state it was started with. It is
// to be called before anything else.
func (c *Core) StartInQuarantine() {
	c.shutAway(0, c.otherVoters())
}

// noteStates takes what the applier says of its state.
func (c *Core) noteStates(a *AppliedUpTo) {
	if a.Installed {
		c.guard.states.forgetOwn()
	}
	if a.Repair != RepairNone {
		c.guard.stage = a.Repair
	}
	if a.Repair == RepairDone {
		c.guard.holders = nil
		c.pass(VerdictOK, 0)
	}
	for _, s := range a.Digests {
		c.guard.states.note(c.cfg.ID, s)
		c.signalDigest(s)
	}
	if len(a.Digests) > 0 {
		c.judge()
	}
	if a.Installed || len(a.Digests) > 0 {
		own := slices.Clone(c.guard.states.seen[c.cfg.ID])
		c.guard.digests = &own
	}
}

// signalDigest tells the peers this node's digest.
func (c *Core) signalDigest(s StateDigest) {
	for _, id := range c.peers() {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, 4), signalDigest)
		payload = frame.AppendUint(frame.AppendUint(frame.AppendUint(payload, s.Index), s.Contents), s.Order)
		c.eff.Signals = append(c.eff.Signals, Forward{id, payload})
	}
}

// digestSignalled takes a peer's digest.
func (c *Core) digestSignalled(from uint64, r *frame.Reader) error {
	var s StateDigest
	for _, p := range []*uint64{&s.Index, &s.Contents, &s.Order} {
		var err error
		if *p, err = r.Uint64(); err != nil {
			return fmt.Errorf("read digest signal: %w", err)
		}
	}
	c.guard.states.note(from, s)
	c.judge()
	return nil
}

// repairSignalled takes a peer's request for this node's state.
func (c *Core) repairSignalled(from uint64, r *frame.Reader) error {
	index, err := r.Uint64()
	if err != nil {
		return fmt.Errorf("read repair signal: %w", err)
	}
	c.serve(Repair{from, index})
	return nil
}

// judge acts on what the digests say. In quarantine they say nothing more.
func (c *Core) judge() {
	if c.guard.verdict == VerdictRepairing {
		return
	}
	switch index, a, holders := c.guard.states.newest(); a {
	case agreementEqual:
		c.pass(VerdictOK, index)
	case agreementNone:
		c.pass(VerdictNoMajority, index)
	case agreementMinority:
		c.shutAway(index, holders)
	}
}

// shutAway puts the state in quarantine.
func (c *Core) shutAway(index uint64, holders []uint64) {
	c.guard.holders, c.guard.stage, c.guard.leaderless = c.heard(holders), RepairNone, 0
	c.pass(VerdictRepairing, index)
	c.eff.Freeze = true
	c.dropReadLease()
	c.guard.next = c.mono // leadership is handed on at the next tick
}

// pass passes a verdict and, if it bars clients, answers all that wait. What is
// numbered may be in the log already: its outcome is unknown.
func (c *Core) pass(v Verdict, index uint64) {
	if v == c.guard.verdict {
		return
	}
	c.guard.verdict = v
	j := Judgement{Verdict: v, Index: index}
	for _, id := range c.members.Conf.GetVoters() {
		if s, ok := c.guard.states.at(id, index); ok {
			j.Digests = append(j.Digests, VoterDigest{id, s})
		}
	}
	c.eff.Judged = append(c.eff.Judged, j)
	if v != VerdictOK {
		c.origin.expire(math.MaxInt64, c.expired)
	}
	if v == VerdictRepairing {
		c.reads.expire(math.MaxInt64, c.readsDone)
	}
}

// tickQuarantine does what is due again.
func (c *Core) tickQuarantine() {
	c.guard.leaderless++
	if c.leader != raft.None {
		c.guard.leaderless = 0
	}
	if c.mono < c.guard.next {
		return
	}
	c.guard.next = c.mono + repairGap
	if s, ok := c.guard.states.newestOwn(); ok {
		c.signalDigest(s)
	}
	if c.guard.verdict != VerdictRepairing || len(c.guard.holders) == 0 {
		return
	}
	holder := c.guard.holders[c.guard.turn%len(c.guard.holders)]
	c.guard.turn++
	if c.state == raft.StateLeader {
		c.transferLeader(holder)
	}
	if c.guard.stage == RepairFrozen {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, 2), signalRepair)
		// What raft counts as applied may be beyond the state: see frozen.release.
		index := max(c.applied, c.raw.BasicStatus().Applied)
		c.eff.Signals = append(c.eff.Signals, Forward{holder, frame.AppendUint(payload, index)})
	}
}

// barred reports whether a message would help this node to become the leader,
// while it is in quarantine or unfit. In quarantine its log may be the only one that
// is complete, so that nobody else can win: after a time without a leader it stands
// after all, brings the others' logs up to date, and hands on.
func (c *Core) barred(m *pb.Message) bool {
	shut := c.guard.verdict == VerdictRepairing
	if !shut && !c.unfit() {
		return false
	}
	switch m.GetType() {
	case pb.MsgTimeoutNow:
		return m.GetTo() == c.cfg.ID
	case pb.MsgVote, pb.MsgPreVote:
		return m.GetFrom() == c.cfg.ID && (c.unfit() || c.guard.leaderless < campaignPatience*c.cfg.ElectionTicks)
	default:
		return false
	}
}
