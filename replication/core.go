package replication

import (
	"errors"
	"fmt"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// messageBytesMax bounds the entries of one MsgApp, unless one entry alone
	// is larger.
	messageBytesMax = 1 << 20

	// inFlightBytesMax bounds what is on its way to one peer.
	inFlightBytesMax = 32 << 20

	// inFlightMessagesMax bounds the MsgApps on their way to one peer.
	inFlightMessagesMax = 512

	// applyBytesMax bounds the entries between commit and apply.
	applyBytesMax = 8 << 20

	// dueTickGap is the least time between two entries proposed only because
	// something is due in the state.
	dueTickGap = 100 * time.Millisecond

	// clockSignalGap is how often a node tells the others its wall clock.
	clockSignalGap = time.Second

	// signalClock and signalHints are the kinds of signals, see doc.go.
	signalClock = 1
	signalHints = 2
)

// Config is what a Core needs to know.
type Config struct {
	ID     uint64   // raft id of this node
	Voters []uint64 // raft ids of all nodes
	Boot   uint64   // boot number of this start
	Loops  int      // event loops of this node

	Log       raft.Storage
	Applied   uint64 // index of the restored state
	StampMs   int64  // its time
	NextDueMs func() int64
	Formation func() []byte // StateMachine's

	ElectionTicks, HeartbeatTicks int
	Tick                          time.Duration
	RequestTimeout                time.Duration

	Logger raft.Logger
}

// Core is the step machine of one node: inputs go in by its methods, Ready
// gives out the effects. It has no goroutine, no lock and no clock, and does no
// IO but for reading entries back from Log. One goroutine owns it.
//
// Invariant: an effect may be carried out late but never before Ready gave it
// out, and those of one kind in order.
type Core struct {
	cfg     Config
	raw     *raft.RawNode
	origin  *origin
	reads   reads
	batcher batcher
	hints   hints // gathered on this node
	clock   logClock

	mono time.Duration // as of the last Observe
	wall time.Time

	term, leader uint64 // as of the last Ready
	state        raft.StateType
	lastIndex    uint64 // last entry handed to the log
	commit       uint64
	applied      uint64
	alone        bool // the only voter, with an entry of its own term applied
	formDue      bool // leads, and has not made sure yet that the state is formed

	guard quarantine

	resendDue   bool // resend all numbered sub-batches at the next tick
	nextDueTick time.Duration
	nextSignal  time.Duration
	nextHints   time.Duration

	forward chunk // sub-batches that leave for the leader with the next Ready
	eff     Effects
}

// Effects is what a Core wants done. Lists are in order.
type Effects struct {
	Messages  []*pb.Message // to peers
	Snapshots []*pb.Message // MsgSnap: goes out with its file, ReportSnapshot must follow
	Append    []*pb.Message // MsgStorageAppend, for the append worker
	Apply     []*pb.Message // MsgStorageApply, for the applier
	Forwards  []Forward     // sub-batches to the leader
	Signals   []Forward     // small messages to peers
	Expired   []Expiry
	Reads     []ReadsDone
	Judged    []Judgement // to be logged
	Repairs   []Repair
	Freeze    bool // the applier is to be frozen, and an image of its state kept
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

	// Verdict, unless it is VerdictOK, is why it was not waited for.
	Verdict Verdict
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

	Digests []StateDigest // at the indexes at which nodes compare their states
	Repair  RepairStage   // the latest, if anything changed
}

// OwnSeq is the last sequence number of an event loop that took effect.
type OwnSeq struct {
	Loop int
	Seq  uint64
}

// NewCore returns the core of a node whose log and state were restored.
func NewCore(cfg Config) (*Core, error) {
	raw, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   cfg.Log,
		Applied:                   cfg.Applied,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             messageBytesMax,
		MaxCommittedSizePerReady:  applyBytesMax,
		MaxInflightMsgs:           inFlightMessagesMax,
		MaxInflightBytes:          inFlightBytesMax,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	last, err := cfg.Log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read last index: %w", err)
	}
	c := &Core{
		cfg:       cfg,
		raw:       raw,
		origin:    newOrigin(cfg.ID, cfg.Boot, cfg.Loops),
		reads:     reads{boot: cfg.Boot},
		lastIndex: last,
		applied:   cfg.Applied,
		guard:     quarantine{states: newDivergence(cfg.ID, cfg.Voters)},
	}
	c.clock.raise(cfg.StampMs, 0)
	if len(cfg.Voters) == 1 {
		// A sole voter has nobody to wait for.
		if err := raw.Campaign(); err != nil {
			return nil, fmt.Errorf("campaign as the only voter: %w", err)
		}
	}
	return c, nil
}

// Observe sets the time of the inputs that follow: mono is monotonic, from any
// origin.
func (c *Core) Observe(mono time.Duration, wall time.Time) { c.mono, c.wall = mono, wall }

// Tick is called once per Config.Tick; missed ticks are not caught up.
func (c *Core) Tick() {
	c.raw.Tick()
	c.reads.ticks++
	c.origin.expire(c.mono, c.expired)
	c.reads.expire(c.mono, c.readsDone)
	if c.leader != raft.None {
		if c.resendDue {
			c.resendDue = false
			c.origin.resend(c.mono, c.send)
		}
		c.origin.probe(c.mono, time.Duration(c.cfg.ElectionTicks)*c.cfg.Tick, c.send)
	}
	c.signalClock()
	c.signalHints()
	c.tickQuarantine()
}

// expired answers a sub-batch that is not waited for any longer.
func (c *Core) expired(loop int, tag uint64, sent bool) {
	c.eff.Expired = append(c.eff.Expired, Expiry{loop, tag, sent, c.guard.verdict})
}

// Step takes a raft message from a peer.
func (c *Core) Step(m *pb.Message) {
	if c.barred(m) {
		return
	}
	// An error says that the message is of no use here and now, which raft
	// tolerates as it does a lost one.
	_ = c.raw.Step(m)
}

// Submit takes a sub-batch of this node's clients; it takes over ops. Exactly
// one answer follows, by the applier or by Effects.Expired, or both: whoever
// waits takes the first.
func (c *Core) Submit(loop int, tag uint64, count int, ops []byte) {
	if c.guard.verdict != VerdictOK {
		c.expired(loop, tag, false)
		return
	}
	c.origin.submit(loop, tag, count, ops, c.mono+c.cfg.RequestTimeout)
}

// Read asks for n reads of an event loop; Effects.Reads answers.
func (c *Core) Read(loop, n int) {
	if c.guard.verdict == VerdictRepairing {
		c.readsDone(loop, n, false)
		return
	}
	c.reads.join(loop, n, c.mono+c.cfg.RequestTimeout)
}

// Forwarded takes a peer's sub-batches. Without leadership they are dropped:
// their origin sends them again when it learns who leads.
func (c *Core) Forwarded(from uint64, payload []byte) error {
	n, subs, err := splitForwarded(payload, from)
	if err != nil {
		return err
	}
	if c.leads() {
		c.batcher.add(n, subs)
	}
	return nil
}

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
	c.clock.report(from, wallMs-c.wall.UnixMilli(), c.mono)
	return nil
}

// Interrupted tells that forwarded sub-batches to a peer may have been lost.
func (c *Core) Interrupted(peer uint64) {
	if peer == c.leader {
		c.resendDue = true
	}
}

// Unreachable tells that a message to a peer was dropped.
func (c *Core) Unreachable(peer uint64) { c.raw.ReportUnreachable(peer) }

// SnapshotSent tells how the transfer of a snapshot to a peer ended.
func (c *Core) SnapshotSent(peer uint64, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	c.raw.ReportSnapshot(peer, status)
}

// Appended takes the responses of the append worker that are meant for this
// node, once what they confirm is synced and readable.
func (c *Core) Appended(responses []*pb.Message) {
	for _, m := range responses {
		c.Step(m)
	}
}

// Applied takes the applier's report.
func (c *Core) Applied(a *AppliedUpTo) {
	c.applied = max(c.applied, a.Index)
	c.alone = len(c.cfg.Voters) == 1 && a.Term == c.term
	c.clock.raise(a.StampMs, c.mono)
	for _, o := range a.Own {
		c.origin.applied(c.mono, o.Loop, o.Seq, func(tag uint64) {
			if a.Installed {
				c.eff.Expired = append(c.eff.Expired, Expiry{Loop: o.Loop, Tag: tag, Sent: true})
			}
		})
	}
	if a.Gap {
		c.resendDue = true
	}
	c.noteStates(a)
	for _, m := range a.Done {
		c.Step(m)
	}
	c.reads.applied(c.applied, c.readsDone)
}

// Ready gives out the effects of all inputs since the last call; eff is reused.
func (c *Core) Ready(eff *Effects) {
	c.takeReady()
	c.propose()
	if c.leader != raft.None {
		c.origin.number(c.mono, c.send)
		if id := c.reads.next(); id != nil {
			c.raw.ReadIndex(id)
		}
	}
	c.propose()
	c.takeReady()
	c.flushForward()
	*eff, c.eff = c.eff, eff.reset()
}

func (e *Effects) reset() Effects {
	return Effects{
		e.Messages[:0], e.Snapshots[:0], e.Append[:0], e.Apply[:0],
		e.Forwards[:0], e.Signals[:0], e.Expired[:0], e.Reads[:0],
		e.Judged[:0], e.Repairs[:0], false,
	}
}

// takeReady moves raft's outstanding work to the effects.
func (c *Core) takeReady() {
	for c.raw.HasReady() {
		rd := c.raw.Ready()
		for _, m := range rd.Messages {
			c.dispatch(m)
		}
		for _, rs := range rd.ReadStates {
			c.reads.confirm(rs.RequestCtx, rs.Index)
		}
	}
	c.reads.applied(c.applied, c.readsDone)
	c.noteStatus()
}

func (c *Core) dispatch(m *pb.Message) {
	switch {
	case c.barred(m):
	case m.GetTo() == raft.LocalAppendThread:
		if n := len(m.GetEntries()); n > 0 {
			c.lastIndex = m.GetEntries()[n-1].GetIndex()
		}
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			c.lastIndex = s.GetMetadata().GetIndex()
		}
		c.eff.Append = append(c.eff.Append, m)
	case m.GetTo() == raft.LocalApplyThread:
		c.eff.Apply = append(c.eff.Apply, m)
	case m.GetType() == pb.MsgSnap:
		c.eff.Snapshots = append(c.eff.Snapshots, m)
	default:
		c.eff.Messages = append(c.eff.Messages, m)
	}
}

// noteStatus acts on a change of (term, leader): everything unapplied is sent
// to the new leader once, and reads in flight are asked for again.
func (c *Core) noteStatus() {
	s := c.raw.BasicStatus()
	c.commit = s.HardState.GetCommit()
	if s.RaftState != raft.StateLeader && c.leads() {
		c.batcher.clear()
	}
	c.state = s.RaftState
	if s.HardState.GetTerm() == c.term && s.Lead == c.leader {
		return
	}
	c.term, c.leader = s.HardState.GetTerm(), s.Lead
	c.formDue = c.leads()
	c.forward.n, c.forward.subs = 0, c.forward.subs[:0]
	if c.leader != raft.None {
		c.resendDue = false
		c.origin.resend(c.mono, c.send)
		c.reads.retry()
	}
}

// send passes a numbered sub-batch of this node to the leader.
func (c *Core) send(s *SubBatch) {
	if c.leads() {
		c.batcher.add(1, appendSubBatch(make([]byte, 0, len(s.Ops)+48), s))
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
	if !c.leads() || !c.form() {
		return
	}
	for c.batcher.ready(c.lastIndex - c.commit) {
		c.proposeEntry(c.batcher.entry(c.stamp()))
	}
	// Without a majority the indexes still have to move on, or none could appear.
	due := c.cfg.NextDueMs() <= c.stamp() || c.guard.verdict == VerdictNoMajority
	if c.mono >= c.nextDueTick && due {
		c.proposeEntry(appendEntry(nil, c.stamp(), nil, 0, nil))
		c.nextDueTick = c.mono + dueTickGap
	}
}

// proposeEntry appends an entry to the leader's log, or reports false. raft
// refuses only while leadership is being handed over; the entry's origins send it
// again then.
func (c *Core) proposeEntry(data []byte) bool {
	if c.raw.Propose(data) != nil {
		return false
	}
	c.lastIndex++
	return true
}

// leads reports whether this node was the leader as of the last Ready.
func (c *Core) leads() bool { return c.state == raft.StateLeader }

func (c *Core) stamp() int64 { return c.clock.stamp(c.mono, c.wall, len(c.cfg.Voters)) }

func (c *Core) readsDone(loop, n int, ok bool) {
	c.eff.Reads = append(c.eff.Reads, ReadsDone{loop, n, ok})
}

// signalClock tells the peers this node's wall clock, once a second.
func (c *Core) signalClock() {
	if c.mono < c.nextSignal {
		return
	}
	c.nextSignal = c.mono + clockSignalGap
	for _, id := range c.cfg.Voters {
		if id != c.cfg.ID {
			payload := frame.AppendUint(frame.AppendArrayLen(nil, 2), signalClock)
			c.eff.Signals = append(c.eff.Signals, Forward{id, frame.AppendInt(payload, c.wall.UnixMilli())})
		}
	}
}

// Status is a node's view of the cluster.
type Status struct {
	ID, Leader, Term uint64 // Leader is 0 while none is known
	State            raft.StateType
	Commit, Applied  uint64
	LastIndex        uint64

	// Alone tells that this node is the only voter and has applied all that was
	// ever acknowledged: its reads need no confirmation.
	Alone bool

	Verdict Verdict // on this node's state
}

// Status returns the status as of the last Ready.
func (c *Core) Status() Status {
	return Status{
		ID: c.cfg.ID, Leader: c.leader, Term: c.term, State: c.state,
		Commit: c.commit, Applied: c.applied, LastIndex: c.lastIndex, Alone: c.alone,
		Verdict: c.guard.verdict,
	}
}
