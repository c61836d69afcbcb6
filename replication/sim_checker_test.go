package replication

import (
	"errors"
	iofs "io/fs"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// simCheckEvery is how many events lie between two rounds of the checks that
// look at disks and digests.
const simCheckEvery = 200

// simSparseEvery is how many events lie between two rounds of all but the checks of
// leases, where reads are looked at.
const simSparseEvery = 20

// simChecker checks the invariants of ARCHITECTURE.md that are replication's,
// from outside: by what nodes are seen to do, and what their disks hold. The
// cheap ones are checked at every event, or where they can be broken; simModel
// checks what clients see.
type simChecker struct {
	s      *simulation
	events int

	leaders   map[uint64]int // by term
	numbers   map[simNumber]uint64
	boots     map[[2]uint64]bool
	hintShare map[[2]uint64][2]int // bytes of hints and of sub-batches, by leader and term
	shipping  map[[2]uint64]bool   // from, to
	terms     map[uint64]uint64    // terms of committed entries
	members   simMembers
	raisedTo  uint64 // the highest cluster version that a leader has asked for; 0: programs have one version
}

// simNumber names a sub-batch; its tag must never differ.
type simNumber struct {
	origin, boot, seq uint64
	loop              int
}

// simFacts is what the checker remembers of a node. What is durable outlives a
// crash.
type simFacts struct {
	term, vote, last uint64 // durable: of the log
	installing       uint64 // index of a snapshot between install and restart
	applied          uint64
	lost             map[uint64]bool // tags answered as unknown because of a snapshot
	lastAnswered     uint64
	frozen           bool   // before the present step
	shipped          int    // effects that ship, before it
	frozenDigest     uint64 // once frozen, and set
}

func newSimChecker(s *simulation) simChecker {
	return simChecker{
		s: s, leaders: map[uint64]int{}, numbers: map[simNumber]uint64{}, boots: map[[2]uint64]bool{},
		hintShare: map[[2]uint64][2]int{}, shipping: map[[2]uint64]bool{}, terms: map[uint64]uint64{}, members: newSimMembers(s),
	}
}

// event is called after every event.
func (c *simChecker) event() {
	c.events++
	for _, n := range c.s.nodes {
		if n.up {
			c.lease(n)
			if c.s.trouble != nil && c.events%simSparseEvery > 0 {
				continue
			}
			c.node(n)
			if c.events%simCheckEvery == 0 {
				c.disk(n)
			}
		}
	}
}

// node: "What is applied is never ahead of what is committed in this node's own
// log", and never goes back; a term has one leader (Raft §5.2).
func (c *simChecker) node(n *simNode) {
	core, st := n.machine.core, n.machine.applier.st
	last, err := n.log.LastIndex()
	n.must(err)
	if st.index > max(min(last, core.raw.BasicStatus().HardState.GetCommit()), n.facts.installing) {
		c.s.failf("node %d has applied %d, its log ends at %d, and knows %v as committed", n.id, st.index, last, core.raw.BasicStatus().HardState)
	}
	if st.index < n.facts.applied {
		c.s.failf("node %d has applied %d, after %d", n.id, st.index, n.facts.applied)
	}
	n.facts.applied = st.index
	if core.state == raft.StateLeader {
		if other, ok := c.leaders[core.term]; ok && other != n.id {
			c.s.failf("nodes %d and %d lead in term %d", other, n.id, core.term)
		}
		c.leaders[core.term] = n.id
	}
}

// lease: while a node's lease is valid, nothing is known as committed to any node that
// is not in its log.
func (c *simChecker) lease(n *simNode) {
	g := n.machine.gate
	until := time.Duration(g.lease.Load())
	if until == 0 || n.clock.at(c.s.now) >= until {
		return
	}
	c.s.stats.leases++
	if known := c.s.order.st.index; known > g.end.Load() {
		c.s.failf("node %d has a lease of term %d for %v more, and its log ends at %d: entry %d is known to be committed",
			n.id, g.term.Load(), until-n.clock.at(c.s.now), g.end.Load(), known)
	}
}

// disk: a node that is started now finds its state, and a committed entry is the
// same everywhere (Raft §5.4.3); "a state in quarantine changes only by being
// replaced".
func (c *simChecker) disk(n *simNode) {
	c.s.stats.checked++
	c.reach(n)
	first, err := n.log.FirstIndex()
	n.must(err)
	applied := n.machine.applier.st.index // of what is committed, it is certainly in the log
	for i := max(first, applied-min(applied, 20)); i <= applied && n.facts.installing == 0; i++ {
		term, err := n.log.Term(i)
		n.must(err)
		if known, ok := c.terms[i]; ok && known != term {
			c.s.failf("entry %d is committed with term %d at node %d, with %d before", i, term, n.id, known)
		}
		c.terms[i] = term
	}
	switch _, digest := n.machine.applier.Digest(); {
	case n.machine.applier.frozen == nil:
		n.facts.frozenDigest = 0
	case n.facts.frozenDigest != 0 && n.facts.frozenDigest != digest && !n.isRestoring():
		c.s.failf("the state of node %d changes in quarantine", n.id)
	default:
		n.facts.frozenDigest = digest
	}
}

func (n *simNode) isRestoring() bool { return n.machine.applier.restoring != nil }

// reach: the log goes on from a snapshot on disk.
func (c *simChecker) reach(n *simNode) {
	first, err := n.log.FirstIndex()
	n.must(err)
	list, err := n.store.List()
	n.must(err)
	if first == 1 {
		return
	}
	for _, meta := range list {
		if meta.GetIndex()+1 >= first {
			return
		}
	}
	c.s.failf("the log of node %d begins at %d, and no snapshot goes so far: %v", n.id, first, list)
}

// started notes what the disk holds, and checks that boot numbers are not used
// twice.
func (c *simChecker) started(n *simNode) {
	boot := [2]uint64{n.raftID(), n.boot}
	if c.boots[boot] {
		c.s.failf("node %d starts twice with boot number %d", n.id, n.boot)
	}
	c.boots[boot] = true
	n.facts = simFacts{applied: n.machine.applier.st.index, lost: map[uint64]bool{}}
	n.lastTag = 0
	c.durable(n)
	c.reach(n)
	c.members.configured(n, n.machine.applier.st.index)
}

// durable notes what the log of a node holds durably.
func (c *simChecker) durable(n *simNode) {
	hs, _, err := n.log.InitialState()
	n.must(err)
	last, err := n.log.LastIndex()
	n.must(err)
	n.facts.term, n.facts.vote, n.facts.last = hs.GetTerm(), hs.GetVote(), last
}

// saved notes what an effect of the appender has made durable.
func (c *simChecker) saved(n *simNode, e *appendEffect) {
	if e.kind == appendRestart {
		n.facts.installing = 0
	}
	if e.sync {
		c.durable(n)
	}
}

// sent: "Nothing is acknowledged to a peer before it is synced here." An
// acknowledgement of an earlier term may be of entries that were replaced since.
func (c *simChecker) sent(n *simNode, m *pb.Message) {
	switch m.GetType() {
	case pb.MsgAppResp:
		if !m.GetReject() && m.GetTerm() == n.facts.term && m.GetIndex() > n.facts.last || m.GetTerm() > n.facts.term {
			c.s.failf("node %d acknowledges entry %d in term %d, its disk has entry %d and term %d",
				n.id, m.GetIndex(), m.GetTerm(), n.facts.last, n.facts.term)
		}
	case pb.MsgVoteResp:
		if !m.GetReject() && (m.GetTerm() > n.facts.term || m.GetTerm() == n.facts.term && m.GetTo() != n.facts.vote) {
			c.s.failf("node %d votes for %d in term %d, its disk has a vote for %d in term %d",
				n.id, m.GetTo(), m.GetTerm(), n.facts.vote, n.facts.term)
		}
	}
}

// fed looks at what the core makes of an input.
func (c *simChecker) fed(n *simNode, in *input, expired []Expiry) {
	if in.kind != inputApplied {
		return
	}
	c.members.onMajority(n, in.applied.Index)
	c.members.configured(n, max(in.applied.Index, n.machine.core.confIndex))
	if in.applied.Installed {
		for _, e := range expired {
			if e.Why == RefusalNone {
				n.facts.lost[e.Tag] = true
			}
		}
	}
}

// ready looks at what a core wants done: in quarantine nothing is shipped or read,
// entries that a leader makes hold at most a tenth of hints, and a number means one
// sub-batch.
func (c *simChecker) ready(n *simNode, eff *Effects) {
	core := n.machine.core
	for i := range eff.Ships {
		if core.guard.verdict == VerdictRepairing {
			c.s.failf("node %d ships the snapshot at %d in quarantine", n.id, eff.Ships[i].Meta.GetIndex())
		}
	}
	for _, r := range eff.Reads {
		if r.OK && core.guard.verdict == VerdictRepairing {
			c.s.failf("node %d lets clients read its state in quarantine", n.id)
		}
	}
	for _, m := range eff.Append {
		for _, e := range m.GetEntries() {
			c.raised(n, e)
			if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 && core.state == raft.StateLeader && e.GetTerm() == core.term {
				c.entry(n, e)
			}
		}
	}
}

func (c *simChecker) entry(n *simNode, e *pb.Entry) {
	r := frame.NewReader(e.GetData())
	h, err := entryHeader(&r)
	n.must(err)
	key := [2]uint64{n.raftID(), e.GetTerm()}
	share := c.hintShare[key]
	share[0] += len(h.hints)
	share[1] += len(r.Rest())
	if share[0]*hintShareDivisor > share[1] {
		c.s.failf("entries of node %d in term %d hold %d bytes of hints, %d of sub-batches", n.id, e.GetTerm(), share[0], share[1])
	}
	c.hintShare[key] = share
	for range h.subBatches {
		s, err := readSubBatch(&r)
		n.must(err)
		if s.Origin == clusterOrigin {
			continue
		}
		number := simNumber{s.Origin, s.Boot, s.Seq, s.Loop}
		if tag, ok := c.numbers[number]; ok && tag != s.Tag {
			c.s.failf("sub-batches %d and %d have one number: %+v", tag, s.Tag, number)
		}
		c.numbers[number] = s.Tag
	}
}

// answers: the answers of what was applied leave in the order of tags, and before
// a snapshot's report gives up what is in it.
func (c *simChecker) answers(n *simNode, tag uint64) {
	if n.facts.lost[tag] {
		c.s.failf("node %d answers sub-batch %d after it was given up because of a snapshot", n.id, tag)
	}
	if tag <= n.facts.lastAnswered {
		c.s.failf("node %d answers sub-batch %d after %d", n.id, tag, n.facts.lastAnswered)
	}
	n.facts.lastAnswered = tag
}

// beforeApply and afterApply surround each step of an applier: a frozen one sends
// its state to nobody, and states of equal index are equal.
func (c *simChecker) beforeApply(n *simNode) {
	a := n.machine.applier
	n.facts.frozen, n.facts.shipped = a.frozen != nil, countShips(a.effects)
}

func (c *simChecker) afterApply(n *simNode, given []applyEffect) {
	a := n.machine.applier
	effects := a.effects
	if given != nil { // by ready
		effects = given
	}
	if n.facts.frozen && a.frozen != nil && countShips(effects) > n.facts.shipped {
		c.s.failf("node %d sends its state in quarantine", n.id)
	}
	c.members.applied(n, a.batch.Report.Changes)
	for i := range given { // ready may have applied what waited, and reported it
		if r := given[i].report; r != nil {
			c.members.applied(n, r.Changes)
		}
	}
	c.s.model.applied(n)
}

func countShips(effects []applyEffect) (count int) {
	for i := range effects {
		if effects[i].kind == effectShip {
			count++
		}
	}
	return count
}

// restored forgets what is known of the state that was replaced.
func (c *simChecker) restored(n *simNode) { n.facts.frozenDigest = 0 }

// pruned: after a repair no snapshot of the state before it is left.
func (c *simChecker) pruned(n *simNode, index uint64) {
	list, err := n.store.List()
	n.must(err)
	for _, meta := range list {
		if meta.GetIndex() < index {
			c.s.failf("node %d keeps a snapshot at %d after a repair at %d", n.id, meta.GetIndex(), index)
		}
	}
}

// cuts: the log is cut only where a snapshot is on disk, and a newer one too, so
// that a node whose newest file is damaged starts, and a peer that receives the
// newest one goes on from it. A disk with little room need not have the second.
func (c *simChecker) cuts(n *simNode, index uint64) {
	list, err := n.store.List()
	n.must(err)
	count := 0
	for _, meta := range list {
		if meta.GetIndex() >= index {
			count++
		}
	}
	if count < 2 && (count == 0 || !n.wasTight) {
		c.s.failf("node %d cuts its log at %d, with snapshots %v", n.id, index, list)
	}
}

// committed: a snapshot on disk is the state at its index. Each third is read.
func (c *simChecker) committed(n *simNode, at position) {
	if c.s.stats.snapshots++; c.s.stats.snapshots%3 != 1 || c.s.order != nil {
		return // it takes long, or digests are not compared
	}
	st := newState(&ReplicaConfig{ID: n.raftID(), Formed: c.s.formed, Boot: n.boot, Loops: 1, Machine: newSimMachine(), KnownVersion: n.program})
	meta := &pb.SnapshotMetadata{Index: new(at.index), Term: new(at.term)}
	err := restoreSnapshot(n.store, meta, st)
	if n.wasTight && errors.Is(err, iofs.ErrNotExist) {
		return // it was given up, because the disk was full
	}
	if err != nil {
		c.s.failf("node %d has written a snapshot at %d that cannot be restored: %v", n.id, at.index, err)
	}
	if _, digest := st.Digest(); c.s.stats.corrupted == 0 && digest != c.s.model.digests[at.index] {
		c.s.failf("node %d has written a snapshot at %d with digest %x, the state had %x", n.id, at.index, digest, c.s.model.digests[at.index])
	}
}

// shipBegins: at most one snapshot is on its way to a peer at a time.
func (c *simChecker) shipBegins(n *simNode, ship *Ship) {
	key := [2]uint64{n.raftID()<<32 | n.life, ship.To}
	if c.shipping[key] {
		c.s.failf("node %d ships a second snapshot to %d at a time", n.id, ship.To-1)
	}
	c.shipping[key] = true
}

func (c *simChecker) shipEnds(n *simNode, ship *Ship) {
	delete(c.shipping, [2]uint64{n.raftID()<<32 | n.life, ship.To})
}
