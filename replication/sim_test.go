package replication

import (
	"container/heap"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The simulation runs a whole cluster in one goroutine and in virtual time:
// cores, appliers, append workers, real write-ahead logs and snapshot stores on
// crashable file systems in memory, and the real engine. Everything that may
// vary is drawn from one seed, so that a failure replays.

const (
	simTick           = 10 * time.Millisecond
	simElectionTicks  = 20
	simHeartbeatTicks = 3
	simRequestTimeout = 2 * time.Second
	simLogRetainBytes = 4 << 10 // snapshots are frequent
	simDigestEvery    = 8       // so are comparisons of states
)

var simEpoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// simEvent is something that happens at a virtual time; seq keeps the order of
// events of one time.
type simEvent struct {
	at  time.Duration
	seq uint64
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// simulation is a cluster, its network and its clients.
type simulation struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	seq   uint64
	queue simQueue
	nodes []*simNode
	trace uint64 // running hash of everything that happened

	dropPermille int
	cut          map[[2]int]bool // from, to
	clients      []*simClient
	model        simModel
	stats        simStats
}

// simStats says what a run covered, so that a test can insist on it.
type simStats struct {
	crashes, partitions, snapshotsInstalled, acked, unknown, noLeader, reads int
	corrupted, quarantines, noMajorities, repairs, refused                   int

	hinted uint64 // hints in the log, at the end
}

// simNode is one node: what survives a crash (fs, boot) and what does not.
type simNode struct {
	s    *simulation
	id   int // index; raft id is id+1
	fs   *disktest.FS
	boot uint64

	life     uint64 // grows at each crash and start: events of an older life are void
	up       bool
	paused   bool // as by SIGSTOP: nothing happens, input waits
	backlog  []func()
	core     *Core
	applier  *Applier
	appender *Appender
	machine  *simMachine
	engine   *engine.Engine // of machine
	log      simLog
	store    simStore
	diverged simStore
	eff      Effects

	toLog, toLogNow     []*pb.Message
	toApply             []applyWork
	applying, appending bool
	snapshotting        bool
	image               *Image // to be written, nil if it was given up
	newest, compactTo   uint64
	lastTag             uint64
	waiting             []simWaiter
	readers             []*simClient
}

type simWaiter struct {
	tag     uint64
	clients []*simClient
}

func newSimulation(t *testing.T, seed uint64, nodes int) *simulation {
	cryptotest.SetGlobalRandom(t, seed)
	s := &simulation{t: t, rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]int]bool{}}
	s.model = newSimModel(s)
	for i := range nodes {
		n := &simNode{s: s, id: i, fs: disktest.NewCrashable()}
		s.nodes = append(s.nodes, n)
		n.start()
	}
	return s
}

func (s *simulation) addClients(n int) {
	for i := range n {
		c := &simClient{s: s, id: i, node: s.nodes[i%len(s.nodes)]}
		s.clients = append(s.clients, c)
		s.after(time.Duration(s.rng.IntN(50))*time.Millisecond, c.next)
	}
}

func (s *simulation) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{s.now + d, s.seq, do})
}

// note adds to the trace.
func (s *simulation) note(format string, args ...any) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d ", s.trace, s.now) // a hash takes everything
	_, _ = fmt.Fprintf(h, format, args...)
	s.trace = h.Sum64()
	if testing.Verbose() && simTrace {
		s.t.Logf("%v %s", s.now, fmt.Sprintf(format, args...))
	}
}

// simTrace prints every event of a run with -v; for following one seed.
const simTrace = false

func (s *simulation) runUntil(end time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= end {
		e := heap.Pop(&s.queue).(simEvent)
		s.now = e.at
		e.do()
	}
	s.now = end
}

// delay draws how long something takes: mostly short, sometimes very long.
func (s *simulation) delay(typical time.Duration) time.Duration {
	d := time.Duration(s.rng.Int64N(int64(2 * typical)))
	if s.rng.IntN(200) == 0 {
		d *= 50
	}
	return d + time.Microsecond
}

// inLife returns do bound to the node's present life, and to its turn if it is
// paused.
func (n *simNode) inLife(do func()) func() {
	life := n.life
	var run func()
	run = func() {
		switch {
		case n.life != life:
		case n.paused:
			n.backlog = append(n.backlog, run)
		default:
			do()
		}
	}
	return run
}

// start brings a node up from what its file system holds.
func (n *simNode) start() {
	t := n.s.t
	n.boot++
	n.life++
	w, err := wal.Open(n.fs, "wal", wal.Options{Bootstrap: simConfState(), SegmentBytes: 8 << 10, MemoryBytesMax: 2 << 10})
	if err != nil {
		t.Fatalf("%v node %d: open log: %v", n.s.now, n.id, err)
	}
	store, err := snapshot.Open(n.fs, "snap")
	if err != nil {
		t.Fatalf("%v node %d: open snapshots: %v", n.s.now, n.id, err)
	}
	diverged, err := snapshot.Open(n.fs, "diverged")
	if err != nil {
		t.Fatalf("%v node %d: open diverged states: %v", n.s.now, n.id, err)
	}
	n.log, n.store, n.diverged = simLog{w}, simStore{store}, simStore{diverged}
	n.machine = newSimMachine()
	n.engine = n.machine.Engine
	n.applier = NewApplier(uint64(n.id+1), n.boot, 1, n.machine)
	n.applier.digestEvery = simDigestEvery
	n.check(restoreNewest(n.log, n.store, n.applier, slog.New(slog.DiscardHandler)))
	n.appender, err = NewAppender(n.log, func(meta *pb.SnapshotMetadata) error {
		n.drainApply()
		n.s.stats.snapshotsInstalled++
		var batch Batch
		err := n.applier.Install(n.store, meta, &batch)
		n.core.Applied(&batch.Report)
		return err
	})
	n.check(err)
	n.newest, n.compactTo = n.applier.index, 0
	n.core, err = NewCore(Config{
		ID: uint64(n.id + 1), Voters: simConfState().Voters, Boot: n.boot, Loops: 1,
		Log: storage{n.log, n.store}, Applied: n.applier.index, StampMs: n.applier.stampMs,
		NextDueMs: n.machine.NextDueMs, Formation: n.machine.Formation,
		ElectionTicks: simElectionTicks, HeartbeatTicks: simHeartbeatTicks,
		Tick: simTick, RequestTimeout: simRequestTimeout,
		Logger: raftLogger{slog.New(slog.DiscardHandler)},
	})
	n.check(err)
	since, err := divergedSince(n.diverged, n.applier.index)
	n.check(err)
	if since {
		n.core.StartInQuarantine()
	}
	n.toLog, n.toLogNow, n.toApply = nil, nil, nil
	n.applying, n.appending, n.snapshotting, n.paused = false, false, false, false
	n.backlog, n.waiting, n.readers = nil, nil, nil
	n.up = true
	n.s.note("start %d boot %d applied %d", n.id, n.boot, n.applier.index)
	n.s.after(n.s.delay(simTick), n.inLife(n.tick))
}

func simConfState() *pb.ConfState { return &pb.ConfState{Voters: []uint64{1, 2, 3}} }

func (n *simNode) check(err error) {
	if err != nil {
		n.s.t.Fatalf("%v node %d: %v", n.s.now, n.id, err)
	}
}

// crash loses everything volatile and what was not synced.
func (n *simNode) crash() {
	n.s.note("crash %d", n.id)
	n.s.stats.crashes++
	n.up = false
	n.life++
	n.fs = disktest.Crash(n.fs, n.s.rng)
	for _, w := range n.waiting {
		for _, c := range w.clients {
			c.answered(simUnknown, nil)
		}
	}
	for _, c := range n.readers {
		c.readDone(false)
	}
	n.waiting, n.readers = nil, nil
}

func (n *simNode) tick() {
	n.observe()
	n.core.Tick()
	n.ready()
	n.s.after(simTick, n.inLife(n.tick))
}

// observe gives the core its time; every node's wall clock is off a little.
func (n *simNode) observe() {
	n.core.Observe(n.s.now, simEpoch.Add(n.s.now+time.Duration(n.id)*200*time.Millisecond))
}

// ready carries out what the core wants, each thing after a delay.
func (n *simNode) ready() {
	n.core.Ready(&n.eff)
	for _, m := range n.eff.Messages {
		n.send(m)
	}
	for _, m := range n.eff.Snapshots {
		n.ship(m)
	}
	n.toLog = append(n.toLog, n.eff.Append...)
	for _, m := range n.eff.Apply {
		n.toApply = append(n.toApply, applyWork{entries: m})
	}
	n.readyRepairs()
	for _, f := range n.eff.Forwards {
		n.s.network(n, f.To, func(to *simNode) { n.check(to.core.Forwarded(uint64(n.id+1), slices.Clone(f.Payload))) })
	}
	for _, f := range n.eff.Signals {
		n.s.network(n, f.To, func(to *simNode) { n.check(to.core.Signalled(uint64(n.id+1), f.Payload)) })
	}
	for _, e := range n.eff.Expired {
		outcome := simNoLeader
		switch {
		case e.Sent:
			outcome = simUnknown
		case e.Verdict != VerdictOK:
			outcome = simRefused
		}
		n.answer(e.Tag, outcome, nil)
	}
	for _, r := range n.eff.Reads {
		for range r.N {
			c := n.readers[0]
			n.readers = n.readers[1:]
			c.readDone(r.OK)
		}
	}
	n.startAppend()
	n.startApply()
}

func (n *simNode) send(m *pb.Message) {
	b, err := proto.Marshal(m)
	n.check(err)
	n.s.note("send %d %v term %d index %d", n.id, m.GetType(), m.GetTerm(), m.GetIndex())
	n.s.network(n, m.GetTo(), func(to *simNode) {
		c := new(pb.Message)
		n.check(proto.Unmarshal(b, c))
		to.core.Step(c)
	})
}

// network carries something to a node, or loses it.
func (s *simulation) network(from *simNode, raftID uint64, arrive func(to *simNode)) {
	to := s.nodes[raftID-1]
	lost := s.rng.IntN(1000) < s.dropPermille
	s.after(s.delay(time.Millisecond), func() {
		if lost || s.cut[[2]int{from.id, to.id}] || !to.up {
			return
		}
		to.inLife(func() {
			to.observe()
			arrive(to)
			to.ready()
		})()
	})
}

// startAppend lets the disk work on all that is queued, if it is idle.
func (n *simNode) startAppend() {
	if n.appending || len(n.toLog) == 0 {
		return
	}
	n.appending = true
	n.toLogNow, n.toLog = n.toLog, nil
	n.s.after(n.s.delay(500*time.Microsecond), n.inLife(func() {
		n.appending = false
		responses, err := n.appender.Append(n.toLogNow)
		n.check(err)
		n.observe()
		for _, m := range responses {
			if m.GetTo() == uint64(n.id+1) {
				n.core.Step(m)
			} else {
				n.send(m)
			}
		}
		if n.compactTo > 0 {
			n.check(compactLog(n.log, n.compactTo))
			n.compactTo = 0
		}
		n.ready()
	}))
}

func (n *simNode) startApply() {
	if n.applying || len(n.toApply) == 0 {
		return
	}
	n.applying = true
	n.s.after(n.s.delay(200*time.Microsecond), n.inLife(func() {
		n.applying = false
		n.drainApply()
		n.ready()
	}))
}

// drainApply applies all that is queued.
func (n *simNode) drainApply() {
	var batch Batch
	for _, w := range n.toApply {
		n.applyOne(w, &batch)
	}
	n.toApply = nil
	for _, answers := range batch.Answers {
		for _, a := range answers {
			outcome := simAnswered
			if a.Results == nil {
				outcome = simUnknown
			}
			n.answer(a.Tag, outcome, a.Results)
		}
	}
	if batch.Report.Index > 0 || batch.Report.Repair != RepairNone {
		n.s.note("applied %d to %d", n.id, batch.Report.Index)
		n.s.model.applied(n)
		n.observe()
		n.core.Applied(&batch.Report)
	}
	if n.applier.LogBytes() > simLogRetainBytes && !n.snapshotting {
		n.snapshot(func(uint64) {})
	}
}

// snapshot takes a snapshot and writes it after a while, unless the image was
// given up by then; then calls done.
func (n *simNode) snapshot(done func(index uint64)) {
	n.snapshotting = true
	image := n.applier.Image()
	n.image = image
	n.s.after(n.s.delay(5*time.Millisecond), n.inLife(func() {
		n.snapshotting = false
		if n.image != image {
			return
		}
		n.image = nil
		err := writeSnapshot(n.log, n.store, image, n.newest)
		if errors.Is(err, errViewLost) {
			return
		}
		n.check(err)
		n.compactTo, n.newest = n.newest, image.Index
		done(image.Index)
	}))
}

// ship transfers a snapshot file.
func (n *simNode) ship(m *pb.Message) {
	to := n.s.nodes[m.GetTo()-1]
	meta := m.GetSnapshot().GetMetadata()
	header, err := proto.Marshal(m)
	n.check(err)
	n.s.after(n.s.delay(20*time.Millisecond), n.inLife(func() {
		ok := to.up && !to.paused && n.applier.frozen == nil && !n.s.cut[[2]int{n.id, to.id}]
		if ok {
			rc, size, err := n.store.Raw(meta.GetIndex(), meta.GetTerm())
			if err == nil {
				received, err := receiveSnapshot(to.store, header, size, rc)
				n.check(err)
				n.check(rc.Close())
				to.observe()
				to.core.Step(received)
				to.ready()
			}
			ok = err == nil
		}
		n.observe()
		n.core.SnapshotSent(m.GetTo(), ok)
		n.ready()
	}))
}

// answer passes what became of a sub-batch to the clients that wait for it; of
// two answers the first counts.
func (n *simNode) answer(tag uint64, outcome simOutcome, results any) {
	for len(n.waiting) > 0 && n.waiting[0].tag < tag {
		n.pop(simUnknown, nil)
	}
	if len(n.waiting) > 0 && n.waiting[0].tag == tag {
		n.pop(outcome, results)
	}
}

func (n *simNode) pop(outcome simOutcome, results any) {
	w := n.waiting[0]
	n.waiting = n.waiting[1:]
	answers := slices.Repeat([]item.Result{{}}, len(w.clients))
	if outcome == simAnswered {
		answers = answers[:0]
		for r := range results.(*engine.Results).All() {
			answers = append(answers, *r)
		}
	}
	for i, c := range w.clients {
		c.answered(outcome, &answers[i])
	}
}

// simLog adapts the write-ahead log to Log.
type simLog struct{ *wal.Log }

func (l simLog) Save(hs *pb.HardState, ents []*pb.Entry, snap *pb.SnapshotMetadata, sync bool) error {
	return l.Log.Save(wal.Write{HardState: hs, Entries: ents, Snapshot: snap, Sync: sync})
}

// simStore adapts the snapshot store to Snapshots.
type simStore struct{ *snapshot.Store }

func (s simStore) Create(meta *pb.SnapshotMetadata) (SnapshotWriter, error) {
	return s.Store.Create(meta)
}

func (s simStore) Open(index, term uint64) (io.ReadCloser, error) { return s.Store.Open(index, term) }
