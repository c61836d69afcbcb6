package replication

import (
	"fmt"
	"slices"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// grantMax is the longest read lease. A holder that dies delays writes for as long.
	grantMax = 100 * time.Millisecond

	// holderLag is how much later than the leader's a log may be of who becomes a
	// holder.
	holderLag = 20 * time.Millisecond

	// waitRatio is for how many times as long as writes have waited for a holder it is to be
	// waited for no more. Only what is longer than a tick counts, and costs no more than 1 %
	// of the time: of two healthy nodes the slower one is often waited for, for less.
	waitRatio = 100

	// waitCredit is how much of that time without waits may be behind a node already: it is not
	// barred for the first 50 ms, or less soon after a start. (On a busy machine some waits are
	// longer than a tick.)
	waitCredit = 5 * time.Second
)

// holders is the leader's part in read leases: whom it has granted one, and what has to
// wait for them.
//
// Invariant: nothing is published, which is to say known to any node as committed,
// before every holder has it in its log.
//
// What is published is what raft has counted a majority of acknowledgements for. So no
// acknowledgement is shown to raft of an index beyond what each holder has, not even
// this node's own: it is shown as one of a lower index, and once more when more is
// allowed. What a holder has is what it has acknowledged itself, and that is all up to
// goal, which is the end of this log when it became a holder: until its log has come so
// far it uses no lease, see readLease. (The commit index would not do: a change of the
// configuration may publish beyond it what was acknowledged before.)
//
// A node is a holder from before its grant leaves until this node's clock says that the
// lease has ended. It was counted from an earlier time there, and is shorter.
//
// No other node leads meanwhile: a grant ends no later than the leader's lease, and
// whoever supports that, this node included, is bound for longer.
type holders struct {
	term  uint64 // of what follows; this node leads in it
	list  []holder
	acks  []ackOf
	ends  [4]logEnd // each at least holderLag/2 after the one behind it
	moves uint64    // the voter that is to take over once nobody holds a lease; 0: none

	barred map[uint64]time.Duration // until when a peer may not be a holder; of all terms
	waits  WaitStats
}

// holder is a node that may answer reads.
type holder struct {
	id    uint64
	boot  uint64        // of its process
	until time.Duration // on this node's clock
	asked time.Duration // on its clock, of the newest grant
	goal  uint64        // the end of this log when it became a holder
	shown uint64        // what it must have to be granted more
	since time.Duration // since when a write waits for it, up to index
	index uint64        // 0: none does
}

// ackOf is what a node has acknowledged in this term.
type ackOf struct {
	id     uint64
	seen   uint64 // the highest index
	passed uint64 // the highest one that raft was shown
	held   uint64 // what is to be shown when it is allowed; 0: nothing
}

// logEnd is where the log has ended at some time.
type logEnd struct {
	at    time.Duration
	index uint64
}

// WaitStats says how writes have waited for holders of read leases.
type WaitStats struct {
	Count        uint64 // times
	Total, Worst time.Duration
}

// begin begins a term in which this node leads, or ends one.
func (h *holders) begin(term uint64) {
	*h = holders{term: term, barred: h.barred, waits: h.waits}
}

func (h *holders) find(id uint64) *holder {
	for i := range h.list {
		if h.list[i].id == id {
			return &h.list[i]
		}
	}
	return nil
}

func (h *holders) ack(id uint64) *ackOf {
	for i := range h.acks {
		if h.acks[i].id == id {
			return &h.acks[i]
		}
	}
	h.acks = append(h.acks, ackOf{id: id})
	return &h.acks[len(h.acks)-1]
}

// AckedIndex returns what a node has acknowledged, whether raft was shown it or not.
func (h *holders) AckedIndex(id uint64) (quorum.Index, bool) {
	for i := range h.acks {
		if h.acks[i].id == id {
			return quorum.Index(h.acks[i].seen), true
		}
	}
	return 0, false
}

// has returns up to which index a holder that uses its lease has the log.
func (h *holders) has(o *holder) uint64 {
	seen, _ := h.AckedIndex(o.id)
	return max(o.goal, uint64(seen))
}

// limit is up to which index raft may be shown acknowledgements.
func (h *holders) limit() uint64 {
	limit := uint64(indexMax)
	for i := range h.list {
		limit = min(limit, h.has(&h.list[i]))
	}
	return limit
}

// capAck returns what raft may be shown of a message. Only acknowledgements of this
// term matter. Rejections pass as they are: raft takes one of another index for stale,
// and would not reach that peer again.
func (c *Core) capAck(m *pb.Message) *pb.Message {
	h := &c.holders
	if c.cfg.bugs.has(bugHoldersForgotten) && c.leases() != LeasesAll {
		return m
	}
	if m.GetType() != pb.MsgAppResp || h.term == 0 || m.GetTerm() != h.term {
		return m
	}
	if m.GetReject() {
		if c.cfg.bugs.has(bugRejectionCapped) && m.GetIndex() > h.limit() {
			return ackFor(m.GetFrom(), c.cfg.ID, h.term, h.limit(), true)
		}
		return m
	}
	a := h.ack(m.GetFrom())
	a.seen = max(a.seen, m.GetIndex())
	limit := max(a.passed, h.limit())
	if m.GetIndex() <= limit || m.GetFrom() == c.cfg.ID && c.cfg.bugs.has(bugOwnUncapped) {
		a.passed = max(a.passed, m.GetIndex())
		return m
	}
	a.passed, a.held = limit, max(a.held, m.GetIndex())
	return ackFor(m.GetFrom(), c.cfg.ID, h.term, limit, false)
}

func ackFor(from, to, term, index uint64, reject bool) *pb.Message {
	m := &pb.Message{Type: pb.MsgAppResp.Enum(), From: new(from), To: new(to), Term: new(term), Index: new(index)}
	if reject {
		m.Reject = new(true)
	}
	return m
}

// acked is called when raft was shown an acknowledgement: what others have acknowledged
// may be allowed now.
func (c *Core) acked(m *pb.Message) {
	if m.GetType() == pb.MsgAppResp && !m.GetReject() && c.holders.term != 0 && m.GetTerm() == c.holders.term {
		c.releaseAcks()
	}
}

// releaseAcks shows raft what it may be shown now. It takes each as a sign of life of
// that peer: so one is shown only when its index moves, which a silent cluster's do
// not.
func (c *Core) releaseAcks() {
	defer rescue(c.fail)
	h := &c.holders
	limit := h.limit()
	for i := range h.acks {
		a := &h.acks[i]
		if to := min(a.held, limit); to > a.passed {
			a.passed = to
			_ = c.raw.Step(ackFor(a.id, c.cfg.ID, h.term, to, false))
		}
		if a.passed >= a.held {
			a.held = 0
		}
	}
	c.noteWaits()
}

// noteWaits notes for whom a write begins to wait, or waits no more: one that a majority
// has acknowledged, and a holder not. Of those that wait at one time it looks at the
// first.
func (c *Core) noteWaits() {
	h := &c.holders
	waits := slices.ContainsFunc(h.acks, func(a ackOf) bool { return a.held > 0 })
	var index uint64
	if waits {
		index = uint64(c.lease.voters.CommittedIndex(h))
	}
	for i := range h.list {
		o := &h.list[i]
		has := h.has(o)
		if has >= o.index {
			c.waited(o)
		}
		if o.index == 0 && has < index {
			o.since, o.index = c.mono, index
		}
	}
}

// waited notes that the write that waits for a holder, if any, does so no more.
func (c *Core) waited(o *holder) {
	if o.index == 0 {
		return
	}
	d := c.mono - o.since
	w := &c.holders.waits
	w.Count, w.Total, w.Worst = w.Count+1, w.Total+d, max(w.Worst, d)
	o.index = 0
	if d -= c.cfg.Tick; d <= 0 {
		return
	}
	if c.holders.barred == nil {
		c.holders.barred = make(map[uint64]time.Duration)
	}
	c.holders.barred[o.id] = max(c.holders.barred[o.id], c.mono-waitCredit) + waitRatio*d
}

// dropHolders ends that some are holders.
func (c *Core) dropHolders(which func(*holder) bool) {
	h := &c.holders
	before := len(h.list)
	h.list = slices.DeleteFunc(h.list, func(o holder) bool {
		if !which(&o) {
			return false
		}
		c.waited(&o)
		return true
	})
	if len(h.list) < before {
		c.releaseAcks()
		c.moveOn()
	}
}

// tickHolders ends leases by this node's clock, and notes where the log ends.
func (c *Core) tickHolders() {
	h := &c.holders
	if h.term == 0 {
		return
	}
	if c.mono >= h.ends[0].at+holderLag/2 {
		copy(h.ends[1:], h.ends[:])
		h.ends[0] = logEnd{c.mono, c.lastIndex}
	}
	c.dropHolders(func(o *holder) bool { return o.until <= c.mono })
}

// endBefore returns what the log held some time ago, or holds if that is not known.
func (h *holders) endBefore(at time.Duration, last uint64) uint64 {
	for _, e := range h.ends {
		if e.at != 0 && e.at <= at {
			return e.index
		}
	}
	return last
}

// wantSignalled takes that a peer wants a read lease. It is granted one if this node's
// own holds, and if the peer's log shows that its append stream lives: on first
// asking nearly all, later all that this log held at the previous grant. (Some entries
// less would do for a stream that is dead, and stall writes for as long as they are
// few.)
func (c *Core) wantSignalled(from uint64, r *frame.Reader) error {
	in := memberReader{Reader: r}
	term, boot, asked, match := in.uint(1<<63-1), in.uint(1<<63-1), time.Duration(in.uint(1<<63-1)), in.uint(indexMax)
	if in.err != nil {
		return fmt.Errorf("read request for a lease: %w", in.err)
	}
	h := &c.holders
	if h.term == 0 || term != h.term || !c.grants(from) {
		return nil
	}
	c.dropHolders(func(o *holder) bool {
		return o.until <= c.mono || o.id == from && o.boot < boot // that process has ended
	})
	o := h.find(from)
	switch {
	case o == nil && match < h.endBefore(c.mono-holderLag, c.lastIndex):
		return nil
	case o == nil:
		goal := c.lastIndex
		if c.cfg.bugs.has(bugGoalIsCommit) {
			goal = c.commit
		}
		h.list = append(h.list, holder{id: from, boot: boot, goal: goal})
		o = &h.list[len(h.list)-1]
	case o.boot > boot, match < o.shown:
		return nil
	}
	d := min(c.lease.until-c.mono, grantMax)
	if c.cfg.bugs.has(bugGrantUnbounded) {
		d = grantMax
	}
	o.until, o.asked, o.shown = max(o.until, c.mono+d), max(o.asked, asked), c.lastIndex
	c.signalLease(from, signalGrant, term, boot, uint64(asked), uint64(d), o.goal)
	return nil
}

// grants reports whether this node may grant a peer a read lease now. raft is asked
// itself: it may have lost leadership, or told a voter to take over, since the last
// Ready.
func (c *Core) grants(to uint64) bool {
	s := c.raw.BasicStatus()
	led := s.RaftState == raft.StateLeader && s.HardState.GetTerm() == c.holders.term
	moves := c.transferring() != raft.None || c.transferee != raft.None
	return c.leases() == LeasesAll && led && !moves && c.lease.term == c.holders.term && !c.lease.over && c.lease.until > c.mono &&
		inConf(c.members.Conf, to) && !c.members.Excludes(to) && c.mono >= c.holders.barred[to]
}

// transferring returns the voter that is being asked to take over, or is to be, or
// raft.None.
func (c *Core) transferring() uint64 {
	if c.holders.moves != raft.None {
		return c.holders.moves
	}
	return c.raw.BasicStatus().LeadTransferee
}

// transferLeader has raft ask a voter to take over, when nobody holds a read lease any
// more: each is told to give it back, or its lease runs out. Every transfer of
// leadership goes by it, because the voter needs nobody's promise to have ended.
func (c *Core) transferLeader(to uint64) {
	c.holders.moves = to
	if len(c.holders.list) == 0 || c.cfg.bugs.has(bugLeaseOverTransfer) {
		c.moveOn()
		return
	}
	for i := range c.holders.list {
		c.signalLease(c.holders.list[i].id, signalRecall, c.holders.term)
	}
}

// moveOn asks the voter that is to take over, if nothing is in the way any more.
func (c *Core) moveOn() {
	h := &c.holders
	if to := h.moves; to != raft.None && (len(h.list) == 0 || c.cfg.bugs.has(bugLeaseOverTransfer)) {
		h.moves = raft.None
		c.raw.TransferLeader(to)
	}
}

// returnedSignalled takes that a peer has given its lease back: it uses no grant that it
// has asked for until then. A message that is late says nothing of a newer grant.
func (c *Core) returnedSignalled(from uint64, r *frame.Reader) error {
	in := memberReader{Reader: r}
	term, boot, at := in.uint(1<<63-1), in.uint(1<<63-1), time.Duration(in.uint(1<<63-1))
	if in.err != nil {
		return fmt.Errorf("read return of a lease: %w", in.err)
	}
	if term == c.holders.term {
		c.dropHolders(func(o *holder) bool {
			return o.id == from && (o.boot < boot || o.boot == boot && o.asked <= at)
		})
	}
	return nil
}
