package replication

import (
	"fmt"
	"math"
	"time"

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

	// oneByOneMin is how many entries must have come alone in a row to count on more.
	oneByOneMin = 8

	// clockSignalGap is how often a node tells the others its wall clock.
	clockSignalGap = time.Second

	// signalClock and signalHints are the kinds of signals, see doc.go.
	signalClock = 1
	signalHints = 2
)

// Config is what a Core needs to know.
type Config struct {
	ID      uint64      // raft id of this node
	Members *Membership // as of Applied
	Boot    uint64      // boot number of this start
	Loops   int         // event loops of this node

	Log        storage
	Applied    uint64 // index of the restored state
	StampMs    int64  // its time
	NextDueMs  func() int64
	OffsetMs   func() int64 // StateMachine's, as are these
	Correction func(offsetMs int64) []byte
	Formation  func() []byte

	ElectionTicks, HeartbeatTicks int
	Tick                          time.Duration
	RequestTimeout                time.Duration
	Leases                        Leases // as the cluster was formed
	Version                       uint64 // see ReplicaConfig.VersionMax

	Logger raft.Logger

	promoteLagMax uint64 // see promoteLagMax
	bugs          bugs
}

// Core is the step machine of one node: inputs go in by its methods, Ready
// gives out the effects. It has no goroutine, no lock and no clock, and does no
// IO. One goroutine owns it.
//
// Invariant: an effect may be carried out late but never before Ready gave it
// out, and those of one kind in order.
type Core struct {
	cfg     Config
	raw     *raft.RawNode
	history *history
	pace    pace
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
	oneByOne     int // see Effects.OneByOne
	applied      uint64
	readIndex    uint64 // the highest one that raft has confirmed
	appliedTerm  uint64 // of the entry at applied
	formDue      bool   // leads, and has not made sure yet that the state is formed
	toldOffset   int64  // the offset that was told last, in toldTerm
	toldTerm     uint64
	correctDue   time.Duration // when this leader may correct the offset of log time again

	memberState
	guard    quarantine
	ships    ships
	handover handover
	space    spaces
	promise  promise
	lease    leaderLease
	holders  holders
	commits  commits
	versions versions
	reading  readLease
	accepted Round // the newest of a leader's that this node has accepted

	transferee uint64 // as of the last Ready: the voter that is asked to take over
	onDisk     uint64 // last entry that the append worker has written

	resendDue   bool // resend all numbered sub-batches at the next tick
	nextDueTick time.Duration
	nextSignal  time.Duration
	nextHints   time.Duration

	campaignDue bool // the only voter, which stands as soon as it is not bound

	failed  error    // why nothing leaves any more
	forward struct { // leaves for the leader with the next Ready
		n    int // sub-batches
		subs []byte
	}
	eff Effects
}

// NewCore returns the core of a node whose log and state were restored.
// An error that is ErrOutdated says that they do not fit together.
func NewCore(cfg Config) (c *Core, err error) {
	defer rescue(func(reason error) { c, err = nil, reason })
	return newCore(cfg)
}

func newCore(cfg Config) (*Core, error) {
	log := &history{storage: cfg.Log, bugs: cfg.bugs}
	raw, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   log,
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
		history:   log,
		origin:    newOrigin(cfg.ID, cfg.Boot, cfg.Loops),
		reads:     reads{boot: cfg.Boot, bugs: cfg.bugs},
		lastIndex: last,
		onDisk:    last,
		applied:   cfg.Applied,
		guard:     quarantine{states: newDivergence(cfg.ID, cfg.Members.Conf.GetVoters())},
		ships:     ships{to: make(map[uint64]bool), rests: make(map[uint64]rest), bugs: cfg.bugs},
		handover:  handover{heard: make(map[uint64]int), leavers: make(map[uint64]int)},

		promise: promise{span: promiseSpan(&cfg)},
		lease:   leaderLease{self: cfg.ID},

		memberState: memberState{members: cfg.Members, confIndex: cfg.Applied, removed: cfg.Members.Excludes(cfg.ID)},
	}
	c.clock.bugs = cfg.bugs
	c.clock.raise(cfg.StampMs, 0)
	c.lease.follow(cfg.Members.Conf, cfg.bugs)
	if !cfg.Members.sole(cfg.ID) {
		return c, nil
	}
	// A sole voter has nobody to wait for, unless it may have promised something.
	c.campaignDue = true
	if had, err := c.hadOthers(last); had || err != nil {
		return c, err
	}
	if c.mayStand(func() { err = raw.Campaign() }); err != nil {
		return nil, fmt.Errorf("campaign as the only voter: %w", err)
	}
	return c, nil
}

// Observe sets the time of the inputs that follow: mono is monotonic, from any
// origin. The clock is to be read when they have come: what this node promises to who
// has sent one lasts from then on, and ends too early by a clock that was read before.
func (c *Core) Observe(mono time.Duration, wall time.Time) {
	wall = wall.Round(0) // without a monotonic reading, by which two times would differ whatever the clock on the wall does
	c.clock.observe(mono-c.mono, wall.Sub(c.wall))
	c.mono, c.wall = mono, wall
	c.promise.observed(mono, c.cfg.bugs)
}

// Tick is called once per Config.Tick, or late, as often as Rest allows. Ticks that were
// missed beyond that are not caught up.
func (c *Core) Tick() {
	c.logCommit()
	c.tickRaft()
	c.history.tick(c.cfg.ElectionTicks)
	c.reads.ticks++
	c.ships.ticks++
	c.origin.expire(c.mono, c.expired)
	c.reads.expire(c.mono, c.readsDone)
	if c.leader != raft.None {
		if c.resendDue {
			c.resendDue = false
			c.origin.resend(c.mono, c.send)
		}
		c.origin.probe(c.mono, time.Duration(c.cfg.ElectionTicks)*c.cfg.Tick, c.send)
	}
	c.tickHolders()
	c.tickReadLease()
	c.signalClock()
	c.tickClock()
	c.signalHints()
	c.tickQuarantine()
	c.tickSpace()
	c.tickHandover()
	c.tickMembers()
	c.raiseVersion()
	c.tickAsks()
}

func (c *Core) tickRaft() {
	defer rescue(c.fail)
	switch {
	case !c.mayTick():
	case c.raw.BasicStatus().RaftState == raft.StateLeader:
		c.raw.Tick()
	default:
		c.mayStand(c.raw.Tick)
	}
	c.campaignAlone()
}

// expired answers a sub-batch that is not waited for any longer.
func (c *Core) expired(loop int, tag uint64, sent bool) {
	why := refusals[c.guard.verdict]
	if c.removed && why == RefusalNone {
		why = RefusalRemoved
	}
	c.eff.Expired = append(c.eff.Expired, Expiry{loop, tag, sent, why})
}

// Submit takes a sub-batch of this node's clients; it takes over ops. Exactly
// one answer follows, by the applier or by Effects.Expired, or both: the event
// loop takes the first.
func (c *Core) Submit(loop int, tag uint64, count int, ops []byte, frees bool) {
	if c.guard.verdict != VerdictOK || c.removed {
		c.expired(loop, tag, false)
		return
	}
	c.origin.submit(loop, tag, count, ops, frees, c.mono+c.cfg.RequestTimeout)
}

// Read asks for n reads of an event loop; Effects.Reads answers.
func (c *Core) Read(loop, n int) {
	if c.guard.verdict == VerdictRepairing || c.removed {
		// Answers are in the order of the reads: those that came before fail first.
		c.reads.expire(math.MaxInt64, c.readsDone)
		c.readsDone(loop, n, false)
		return
	}
	c.reads.join(loop, n, c.mono+c.cfg.RequestTimeout)
}

// Forwarded takes n sub-batches of a peer, which splitForwarded has checked. Without
// leadership they are dropped: their origin sends them again when it learns who leads.
func (c *Core) Forwarded(n int, subs []byte) {
	if c.leads() {
		c.batcher.add(n, subs)
	}
}

// Interrupted tells that forwarded sub-batches to a peer may have been lost.
func (c *Core) Interrupted(peer uint64) {
	if peer == c.leader {
		c.resendDue = true
	}
}

// Unreachable tells that a message to a peer was dropped.
func (c *Core) Unreachable(peer uint64) {
	delete(c.handover.heard, peer)
	c.versions.lost(peer, c.cfg.bugs)
	c.raw.ReportUnreachable(peer)
}

// Appended takes the responses of the append worker that are meant for this
// node, once what they confirm is synced and readable.
func (c *Core) Appended(responses []*pb.Message) {
	c.diskAnswered(responses)
	for _, m := range responses {
		c.step(m)
	}
}

// Applied takes the applier's report.
func (c *Core) Applied(a *AppliedUpTo) {
	c.applied = max(c.applied, a.Index)
	c.noteMembers(a)
	c.appliedTerm = max(c.appliedTerm, a.Term)
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
		c.step(m)
	}
	c.settle()
	c.reads.applied(c.applied, c.readsDone)
}
