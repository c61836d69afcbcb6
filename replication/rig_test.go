package replication

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// rig is a small cluster whose every step a test decides: which message arrives when,
// what each node's clock shows, whose disk answers. Messages that nobody holds back
// arrive at once. The simulation draws all this at random; a rig tells one story.
type rig struct {
	t       *testing.T
	now     time.Duration
	nodes   []*rigNode
	mail    []rigMail
	found   string              // what breaks the invariant of leases, or else must not be
	failing bool                // a node that ends is found
	hold    func(*rigMail) bool // what stays in mail; nil: nothing
	lose    func(*rigMail) bool
	leases  Leases
	bugs    bugs
}

// rigMail is something on its way from one node to another.
type rigMail struct {
	from, to uint64
	in       input
}

func (m *rigMail) is(kind pb.MessageType) bool {
	return m.in.kind == inputStep && m.in.message.GetType() == kind
}

type rigNode struct {
	r       *rig
	id      uint64
	fs      *disktest.FS
	boot    uint64
	formed  []Member
	up      bool
	fast    float64 // by how much its clock runs fast; negative: slow
	machine *machine
	log     simLog
	eff     Effects
	lease   Lease         // as published
	reads   bool          // clients read here
	terms   []uint64      // of its log, by index
	hangs   bool          // its disk does not answer
	owed    []appendInput // to the disk
	asked   int           // how many it was given
	late    bool          // the core does not learn what was applied
	reports []*AppliedUpTo
	pulse   *pulse // of a node that rests; nil: it has every tick
	program uint64 // the cluster version that its program knows; 0: that of this tree
	held    uint64 // VersionMax
}

// newRig returns a cluster of so many nodes that vote.
func newRig(t *testing.T, nodes int, leases Leases, bugs bugs) *rig {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	r := &rig{t: t, leases: leases, bugs: bugs}
	members := formed(nodes)
	for i := range members {
		n := &rigNode{r: r, id: members[i].RaftID, fs: disktest.NewCrashable(), formed: members}
		r.nodes = append(r.nodes, n)
		n.start()
	}
	return r
}

// start starts a node from what its disk holds.
func (n *rigNode) start() {
	t := n.r.t
	t.Helper()
	n.boot++
	w, err := wal.Open(n.fs, "wal", wal.Options{Bootstrap: formedMembership(n.formed).Conf})
	must(t, err)
	store, err := snapshot.Open(n.fs, "snap", snapshot.Options{})
	must(t, err)
	n.log = simLog{w}
	cfg := ReplicaConfig{
		ID: n.id, Formed: n.formed, Boot: n.boot, Loops: 1, Log: n.log, Snapshots: simStore{store}, Machine: newSimMachine(),
		Tick: simTick, ElectionTicks: simElectionTicks, HeartbeatTicks: simHeartbeatTicks, RequestTimeout: time.Minute,
		LogRetainBytes: 1 << 30, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Leases: n.r.leases, bugs: n.r.bugs,
		KnownVersion: n.program, VersionMax: n.held,
	}
	n.machine, err = newMachine(&cfg)
	must(t, err)
	n.machine.gate.clock = n.clock
	n.up, n.lease, n.hangs, n.owed = true, Lease{}, false, nil
	n.observe()
	n.ready()
}

// stop ends a node's process. What it has written stays.
func (n *rigNode) stop() {
	n.up = false
	must(n.r.t, n.log.Close())
}

// clock is what the node's clock shows.
func (n *rigNode) clock() time.Duration {
	return n.r.now + time.Duration(n.fast*float64(n.r.now)) + time.Duration(n.id)*time.Hour
}

func (n *rigNode) observe() { n.machine.core.Observe(n.clock(), simEpoch.Add(n.r.now)) }

// feed gives the core something that has happened.
func (n *rigNode) feed(in input) {
	if !n.up {
		return
	}
	n.turn(func() { must(n.r.t, in.feed(n.machine.core)) })
}

func (n *rigNode) tick() {
	switch {
	case !n.up, n.pulse != nil && n.clock() < n.pulse.last+time.Duration(n.pulse.rest)*simTick:
	case n.pulse != nil:
		n.turn(func() {})
	default:
		n.turn(func() { n.ticks(1) })
	}
}

// turn is one turn of the raft loop, with the ticks that it is to have by its pulse.
func (n *rigNode) turn(do func()) {
	n.observe()
	before, after := 0, 0
	if n.pulse != nil {
		before, after = n.pulse.due(n.clock())
	}
	n.ticks(before)
	do()
	n.ticks(after)
	n.ready()
	if n.pulse != nil {
		n.pulse.rest = n.machine.core.Rest()
	}
}

func (n *rigNode) ticks(count int) {
	for range count {
		if n.reads {
			n.machine.core.Reading(n.clock())
		}
		n.machine.core.Tick()
	}
}

// ready carries out what the core wants done.
func (n *rigNode) ready() {
	core := n.machine.core
	core.Ready(&n.eff)
	switch {
	case n.eff.Failed != nil && n.r.failing:
		n.r.found, n.up = fmt.Sprintf("node %d: %v", n.id, n.eff.Failed), false
		return
	case n.eff.Failed != nil:
		n.r.t.Fatalf("node %d: %v", n.id, n.eff.Failed)
	}
	n.machine.gate.publish(&n.eff)
	n.lease = n.eff.Lease
	n.r.check(n)
	for _, m := range n.eff.Messages {
		n.post(m.GetTo(), input{kind: inputStep, message: m, round: n.eff.Round.of(m)})
	}
	for _, s := range n.eff.Signals {
		n.post(s.To, input{kind: inputSignalled, peer: n.id, bytes: s.Payload})
	}
	for _, f := range n.eff.Forwards {
		in, err := forwarded(n.id, n.boot, f.Payload, func(int, []byte) error { return nil })
		must(n.r.t, err)
		n.post(f.To, *in)
	}
	for _, m := range n.eff.Append {
		n.owed = append(n.owed, appendInput{message: m})
		n.asked++
	}
	n.reports = append(n.reports, n.apply(n.eff.Apply)...)
	fetch := n.eff.Fetch
	n.write()
	n.applied()
	if fetch.First != 0 {
		ents, err := fetch.do(n.log)
		n.feed(input{kind: inputFetched, entries: ents, err: err})
	}
}

// applied tells the core what was applied, unless that is late.
func (n *rigNode) applied() {
	if n.late {
		return
	}
	reports := n.reports
	n.reports = nil
	for _, a := range reports {
		n.feed(input{kind: inputApplied, applied: a})
	}
}

// write has the disk do what it owes, unless it hangs.
func (n *rigNode) write() {
	if n.hangs || len(n.owed) == 0 {
		return
	}
	owed := n.owed
	n.owed = nil
	for _, e := range n.machine.appender.step(owed, nil) {
		must(n.r.t, e.carryOut(n.log))
		for _, m := range e.peers {
			n.post(m.GetTo(), input{kind: inputStep, message: m})
		}
		if len(e.own) > 0 {
			n.feed(input{kind: inputAppended, messages: e.own})
		}
	}
}

// apply applies entries and returns what the applier reports.
func (n *rigNode) apply(messages []*pb.Message) (reports []*AppliedUpTo) {
	for _, m := range messages {
		n.machine.applier.step(&applyInput{kind: applyEntries, entries: m})
	}
	if len(messages) == 0 {
		return nil
	}
	for _, e := range n.machine.applier.ready(nil) {
		if e.kind == effectReport {
			reports = append(reports, e.report)
		}
	}
	return reports
}

func (n *rigNode) post(to uint64, in input) {
	n.r.mail = append(n.r.mail, rigMail{n.id, to, in})
}

// deliver delivers what is on its way and not held back, until nothing is.
func (r *rig) deliver() {
	for i := 0; i < len(r.mail); {
		m := r.mail[i]
		if r.lose != nil && r.lose(&m) {
			r.mail = slices.Delete(r.mail, i, i+1)
			continue
		}
		if r.hold != nil && r.hold(&m) {
			i++
			continue
		}
		r.mail = slices.Delete(r.mail, i, i+1)
		if to := r.node(m.to); to != nil {
			to.feed(m.in)
		}
		i = 0
	}
}

// run lets time pass, in ticks of all nodes.
func (r *rig) run(d time.Duration) {
	for end := r.now + d; r.now < end; {
		r.pass(simTick)
		for _, n := range r.nodes {
			n.tick()
		}
		r.deliver()
	}
}

// pass lets time pass in which nothing happens.
func (r *rig) pass(d time.Duration) { r.now += d }

// until runs until something holds, for ten seconds at most.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for end := r.now + 10*time.Second; !holds(); r.run(simTick) {
		if r.now > end {
			r.t.Fatalf("after ten seconds: not %s", what)
		}
	}
}

func (r *rig) node(id uint64) *rigNode {
	i := slices.IndexFunc(r.nodes, func(n *rigNode) bool { return n.id == id })
	if i < 0 {
		return nil
	}
	return r.nodes[i]
}

// leader returns the node that leads in the highest term, or nil.
func (r *rig) leader() (leader *rigNode) {
	for _, n := range r.nodes {
		if n.up && n.machine.core.leads() && (leader == nil || n.machine.core.term > leader.machine.core.term) {
			leader = n
		}
	}
	return leader
}

// elect waits until a node leads and has a lease, and returns it.
func (r *rig) elect() *rigNode {
	r.t.Helper()
	r.until("a leader with a lease", func() bool {
		n := r.leader()
		return n != nil && (n.leased() || r.leases == LeasesOff || len(r.nodes) == 1)
	})
	return r.leader()
}

// others returns the nodes but for one.
func (r *rig) others(but *rigNode) []*rigNode {
	return slices.DeleteFunc(slices.Clone(r.nodes), func(n *rigNode) bool { return n == but })
}

// leased reports whether the node may answer reads now, by its own clock.
func (n *rigNode) leased() bool { return n.up && n.clock() < n.lease.Until }

// cut loses what is on its way between some nodes and all others.
func (r *rig) cut(nodes ...*rigNode) {
	in := func(id uint64) bool {
		return slices.ContainsFunc(nodes, func(n *rigNode) bool { return n.id == id })
	}
	r.lose = func(m *rigMail) bool { return in(m.from) != in(m.to) }
}

// addLearner adds a server that is to get no vote, and waits until it is there.
func (r *rig) addLearner() *rigNode {
	r.t.Helper()
	leader, server := r.elect(), len(r.nodes)
	change := func(m MemberChange) {
		r.t.Helper()
		version := leader.machine.core.members.Version
		leader.feed(input{kind: inputChange, change: &m})
		r.until("changed", func() bool { return leader.machine.core.members.Version > version })
	}
	change(MemberChange{Kind: ChangePrepare, ServerID: server, Host: "h", LogPort: 1 + server, Stays: true})
	change(MemberChange{Kind: ChangeAdmit, ServerID: server, Directory: DirectoryID{byte(server + 1)}})
	members := leader.machine.core.members
	n := &rigNode{r: r, id: members.Members[members.present(server)].RaftID, fs: disktest.NewCrashable(), formed: formed(len(leader.formed))}
	r.nodes = append(r.nodes, n)
	n.start()
	r.until("a learner that has caught up", func() bool { return n.machine.core.members.Version == members.Version })
	return n
}

// check notes in found what breaks the invariant of leases, when a node is about to
// carry out effects: what it knows as committed, each node with a lease has in its log.
func (r *rig) check(n *rigNode) {
	for _, m := range n.eff.Append {
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			n.terms = append(n.terms[:0], make([]uint64, s.GetMetadata().GetIndex()+1)...)
			n.terms[len(n.terms)-1] = s.GetMetadata().GetTerm()
		}
		for _, e := range m.GetEntries() {
			for uint64(len(n.terms)) < e.GetIndex() {
				n.terms = append(n.terms, 0)
			}
			n.terms = append(n.terms[:e.GetIndex()], e.GetTerm())
		}
	}
	commit := n.machine.core.commit
	for _, o := range r.nodes {
		switch {
		case !o.leased() || commit == 0 || commit >= uint64(len(n.terms)):
		case commit >= uint64(len(o.terms)) || o.terms[commit] != n.terms[commit]:
			r.found = fmt.Sprintf("node %d knows entry %d of term %d as committed, node %d has a lease and not that entry", n.id, commit, n.terms[commit], o.id)
		}
	}
}
