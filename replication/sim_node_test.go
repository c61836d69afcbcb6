package replication

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"slices"
	"time"

	"raftcached/engine"
	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/identity"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// simNode is one node: what survives a crash (fs, boot) and what does not.
type simNode struct {
	s      *simulation
	id     int         // counts nodes
	raft   uint64      // raft id; 0: none yet
	known  *Membership // as it has made known
	member Member      // as it formed the cluster, or was admitted
	fs     *disktest.FS
	boot   uint64
	space  Space // on its disk, as it will find when it looks

	program uint64 // the cluster version that its program knows; 0: that of this tree
	could   simCould

	life    uint64 // grows at each crash and start: events of an older life are void
	up      bool
	gone    bool // it was removed, and has stopped for good
	paused  bool // as by SIGSTOP: nothing happens, input waits
	backlog []func()

	cfg      ReplicaConfig
	machine  *machine
	state    *simMachine
	engine   *engine.Engine // of state
	reader   *engine.Reader // of engine
	log      simLog
	store    simStore
	diverged simStore
	file     snapshotFile
	floor    wal.Floor           // on its way to the disk, or there
	floorDue time.Duration       // when that will be on its way; 0: nothing is
	identity *identity.Identity  // only in simulations of harmed folders
	met      map[*simNode]uint64 // whom it has shaken hands with, in which life
	refusal  string              // why it has stopped
	eff      Effects
	effects  []applyEffect

	// The goroutines of a Replica, and their inboxes.
	core, append, apply, disk simActor
	toRaft                    []input
	toLog                     []appendInput
	toApply                   []applyInput
	toDisk                    []snapshotWrite
	ticksDue                  int
	rest                      int // as of the last Ready
	asked                     int // transfers of the turn that askedFor has judged
	ticks                     int
	clock                     simClock
	wall                      time.Duration // how far its wall clock is ahead of simEpoch and the simulation's time

	io       []*simIO      // under way
	arrivals []*simArrival // of snapshots from peers
	facts    simFacts      // for the checker

	wasTight                       bool // since its start: see simNode.fill
	stopping, handedOver, draining bool // see simNode.stop
	stood                          int  // messages sent to become the leader, since the last stall

	lastTag uint64
	waiting []simWaiter
	readers []*simClient
	asks    []*simAsk // those that go on in this life
	awaits  []simAwait
	guess   Guess
}

// simWaiter is a client that waits for a sub-batch.
type simWaiter struct {
	tag    uint64
	client *simClient
	over   bool // answered out of turn
}

func newSimNode(s *simulation, m *Member) *simNode {
	s.made++
	n := &simNode{s: s, id: s.made - 1, raft: m.RaftID, member: *m, fs: disktest.NewCrashable()}
	n.wall = n.wallError()
	return n
}

func (n *simNode) raftID() uint64 { return n.raft }

// byRaft returns the node with a raft id, or nil if there is none.
func (s *simulation) byRaft(id uint64) *simNode {
	i := slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.raft == id })
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

// start brings a node up from what its file system holds.
func (n *simNode) start() {
	if n.up || n.gone {
		return
	}
	s := n.s
	n.boot++
	n.life++
	n.openIdentity()
	o := wal.Options{
		Bootstrap: formedMembership(s.formed).Conf, SegmentBytes: s.logRetainBytes, MemoryBytesMax: 2 << 10,
		Owner: wal.Owner{Directory: n.owner().Owner.Directory, Boot: n.boot},
		Floor: n.readFloor(), KeepFloor: n.keepFloor,
	}
	if n.identity != nil {
		starts := n.identity.Lineage().Incarnations
		o.Earlier, o.Owner.Incarnation = starts[:len(starts)-1], starts[len(starts)-1]
	}
	w, err := wal.Open(n.fs, "wal", o)
	n.must(err)
	store, err := snapshot.Open(n.fs, "snap", n.owner())
	n.must(err)
	diverged, err := snapshot.Open(n.fs, "diverged", n.owner())
	n.must(err)
	n.log, n.store, n.diverged = simLog{w}, simStore{store}, simStore{diverged}
	n.state = newSimMachine()
	n.engine = n.state.Engine
	n.reader = n.engine.NewReader()
	n.cfg = ReplicaConfig{
		ID: n.raftID(), Formed: s.formed, Boot: n.boot, Loops: 1,
		Log: n.log, Snapshots: n.store, Diverged: n.diverged, Machine: n.state,
		Tick: simTick, ElectionTicks: simElectionTicks, HeartbeatTicks: simHeartbeatTicks,
		RequestTimeout: simRequestTimeout, LogRetainBytes: s.logRetainBytes,
		Logger:      slog.New(slog.DiscardHandler),
		digestEvery: simDigestEvery, partBytes: simPartBytes, promoteLagMax: simPromoteLagMax, KnownVersion: n.program, bugs: s.bugs,
	}
	if s.trouble != nil {
		n.cfg.RequestTimeout, n.cfg.Leases = simReadsTimeout, s.leases
	}
	n.machine, err = newMachine(&n.cfg)
	if n.tooOld(err) {
		return
	}
	n.must(err)
	n.machine.gate.clock = func() time.Duration { return n.clock.at(s.now) }
	if n.state.bugs = s.bugs; s.bugs.has(bugBeforeLeaseForgotten) {
		n.machine.gate.all.Store(0)
	}
	n.known = n.machine.core.members
	n.file = snapshotFile{store: n.store}
	n.toRaft, n.toLog, n.toApply, n.toDisk = nil, nil, nil, nil
	n.core = simActor{n: n, pace: 20 * time.Microsecond, look: n.raftTurn}
	n.append = simActor{n: n, pace: 20 * time.Microsecond, look: n.appendTurn}
	n.apply = simActor{n: n, pace: simApplyPace, look: n.applyTurn}
	n.disk = simActor{n: n, pace: 20 * time.Microsecond, look: n.diskTurn}
	n.io, n.arrivals, n.backlog, n.waiting, n.readers = nil, nil, nil, nil, nil
	n.paused, n.ticksDue, n.rest, n.asked, n.floorDue = false, 0, 1, 0, 0
	n.clock.restart(s)
	n.guess = Guess{}
	n.stopping, n.handedOver, n.draining = false, false, false
	n.wasTight = n.space != SpaceAmple
	n.up = true
	s.check.started(n)
	s.note("start %d boot %d applied %d", n.id, n.boot, n.machine.applier.st.index)
	n.could.runs(n.program, s.now)
	s.after(s.delay(simTick), n.inLife(n.tick))
}

// owner is what a node's snapshots say.
func (n *simNode) owner() snapshot.Options {
	o := snapshot.Owner{Cluster: 1}
	if binary.LittleEndian.PutUint64(o.Directory[:], uint64(n.id)+1); n.identity != nil {
		o = snapshot.Owner{Directory: n.identity.DirectoryID(), Cluster: 1}
	}
	return snapshot.Options{Owner: o}
}

// floorFile is where a node keeps the floor of its log.
const floorFile = "floor"

// readFloor returns the floor that a node's file system holds.
func (n *simNode) readFloor() (f wal.Floor) {
	if n.identity != nil {
		return wal.Floor(n.identity.Floor())
	}
	b, err := disk.ReadFile(n.fs, floorFile)
	if errors.Is(err, iofs.ErrNotExist) {
		return f
	}
	n.must(err)
	n.must(json.Unmarshal(b, &f))
	return f
}

// keepFloor keeps a floor, now or some time later, with others that come until then.
func (n *simNode) keepFloor(f wal.Floor, within time.Duration) error {
	n.floor = f
	switch due := n.s.now + within; {
	case within == 0:
		return n.writeFloor()
	case n.floorDue == 0 || due < n.floorDue:
		n.floorDue = due
		n.s.after(within+5*time.Millisecond, n.inLife(func() {
			n.floorDue = 0
			if err := n.writeFloor(); !disk.IsFull(err) { // the next one will do
				n.sound(err)
			}
		}))
	}
	return nil
}

func (n *simNode) writeFloor() error {
	if n.identity != nil {
		return n.identity.KeepFloor(identity.Floor(n.floor), 0)
	}
	b, err := json.Marshal(n.floor)
	n.must(err)
	return disk.WriteFileAtomic(n.fs, floorFile, b)
}

// crash loses everything volatile, and of what was not synced what chance has it.
// What is being written at the time may have been written in part.
func (n *simNode) crash() {
	s := n.s
	s.note("crash %d", n.id)
	s.stats.crashes++
	n.could.ran(n.up, n.program, s.now)
	n.up = false
	n.life++
	if len(n.io) > 0 && s.rng.IntN(3) > 0 {
		s.stats.torn++
		n.fs.FailIn = 1 + s.rng.IntN(5)
		_ = n.io[s.rng.IntN(len(n.io))].do() // the error is the crash
	}
	n.io = nil // a node that is down may crash once more
	n.fs = disktest.Crash(n.fs, s.rng)
	for _, a := range n.arrivals {
		a.end(false)
	}
	waiting, readers := n.waiting, n.readers
	n.waiting, n.readers = nil, nil
	for _, w := range waiting {
		if !w.over {
			w.client.answered(simUnknown, nil)
		}
	}
	for _, c := range readers {
		c.readDone(false)
	}
	for _, a := range slices.Clone(n.asks) {
		a.finish()
	}
	n.awaits = nil
}

// must takes an error that nothing explains.
func (n *simNode) must(err error) {
	if err != nil {
		n.s.failf("node %d: %v", n.id, err)
	}
}

// sound reports whether there was no error. Upon an injected one the node ends,
// as a process does, and is started again.
func (n *simNode) sound(err error) bool {
	if errors.Is(err, disktest.ErrInjected) {
		if n.up {
			n.crash()
			n.s.after(time.Duration(10+n.s.rng.IntN(1000))*time.Millisecond, n.start)
		}
		return false
	}
	n.must(err)
	return true
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

// pause stops a node as SIGSTOP does: afterwards all its input comes at once.
func (n *simNode) pause(d time.Duration) {
	n.s.note("pause %d", n.id)
	n.paused = true
	life := n.life
	n.s.after(d, func() {
		if n.life != life {
			return
		}
		n.paused = false
		if s := n.s; s.trouble != nil {
			s.trouble.resumed(n)
		}
		backlog := n.backlog
		n.backlog = nil
		for _, run := range backlog {
			run()
		}
	})
}

func (n *simNode) tick() {
	if n.ticksDue = min(n.ticksDue+1, max(n.rest, 1)); n.ticksDue >= n.rest {
		n.core.wake()
	}
	n.dial()
	n.s.after(n.clock.lasts(simTick), n.inLife(n.tick))
}

// simIO is something that a disk works on.
type simIO struct{ do func() error }

// during returns a step that takes a disk some time.
func (n *simNode) during(typical time.Duration, do func() error) simStep {
	return func(done func()) {
		io := &simIO{do}
		n.io = append(n.io, io)
		n.s.after(n.s.delay(typical), n.inLife(func() {
			n.io = slices.DeleteFunc(n.io, func(other *simIO) bool { return other == io })
			if n.sound(do()) {
				done()
			}
		}))
	}
}

// simLog adapts the write-ahead log to Log.
type simLog struct{ *wal.Log }

func (l simLog) Save(hs *pb.HardState, ents []*pb.Entry, snap *pb.SnapshotMetadata, sync bool) error {
	err := l.Log.Save(wal.Write{HardState: hs, Entries: ents, Snapshot: snap, Sync: sync})
	if errors.Is(err, wal.ErrFull) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// simStore adapts the snapshot store to Snapshots.
type simStore struct{ *snapshot.Store }

func (s simStore) Create(meta *pb.SnapshotMetadata) (SnapshotWriter, error) {
	w, err := s.Store.Create(meta)
	return simWriter{w}, simFull(err)
}

func (s simStore) Open(index, term uint64) (io.ReadCloser, error) { return s.Store.Open(index, term) }
