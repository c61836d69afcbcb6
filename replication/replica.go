package replication

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ReplicaConfig is what a Replica needs.
type ReplicaConfig struct {
	ID     uint64   // raft id of this node
	Voters []uint64 // raft ids of all nodes, this one included
	Boot   uint64   // boot number of this start, never used before
	Loops  int      // event loops of this node

	Log       Log
	Snapshots Snapshots
	Diverged  Snapshots // images of states that were replaced, for inspection
	Transport Transport // nil for a sole voter
	Machine   StateMachine
	Clients   []Client // one for each event loop

	Tick                          time.Duration
	ElectionTicks, HeartbeatTicks int
	RequestTimeout                time.Duration

	// LogRetainBytes is about how much of the log stays on disk, or the size of
	// the state if that is more. A snapshot is taken after each half of it.
	LogRetainBytes int64

	Logger *slog.Logger
}

// Replica runs a node: the raft loop, the append worker, the applier and the
// snapshot writer, each on a goroutine of its own. Its methods may be called by
// any goroutine.
type Replica struct {
	cfg       ReplicaConfig
	log       *slog.Logger
	core      *Core
	applier   *Applier
	appender  *Appender
	snapshots *snapshotter
	repairs   repairs

	in      *inbox[input]
	toLog   *inbox[*pb.Message]
	toApply *inbox[applyWork]

	status atomic.Pointer[Status]

	stop context.CancelCauseFunc
	ctx  context.Context
	wg   sync.WaitGroup
}

// input is something that happened, for the raft loop. One field is set.
type input struct {
	kind     inputKind
	peer     uint64
	loop, n  int
	tag      uint64
	bytes    []byte
	message  *pb.Message
	messages []*pb.Message
	applied  *AppliedUpTo
	ok       bool
}

type inputKind uint8

const (
	inputStep inputKind = iota
	inputSubmit
	inputRead
	inputHint
	inputForwarded
	inputSignalled
	inputInterrupted
	inputUnreachable
	inputSnapshotSent
	inputAppended
	inputApplied
)

// ErrStopped is the cause of a Replica that was closed.
var ErrStopped = errors.New("replica closed")

// StartReplica restores the state from the newest snapshot, starts the
// goroutines and returns.
func StartReplica(cfg ReplicaConfig) (*Replica, error) {
	r := &Replica{
		cfg:     cfg,
		log:     cfg.Logger,
		applier: NewApplier(cfg.ID, cfg.Boot, cfg.Loops, cfg.Machine),
		in:      newInbox[input](),
		toLog:   newInbox[*pb.Message](),
		toApply: newInbox[applyWork](),
	}
	if err := restoreNewest(cfg.Log, cfg.Snapshots, r.applier, cfg.Logger); err != nil {
		return nil, err
	}
	var err error
	if r.appender, err = NewAppender(cfg.Log, r.install); err != nil {
		return nil, err
	}
	r.snapshots = newSnapshotter(cfg.Log, cfg.Snapshots, r.applier.index)
	r.core, err = NewCore(Config{
		ID: cfg.ID, Voters: cfg.Voters, Boot: cfg.Boot, Loops: cfg.Loops,
		Log:     storage{cfg.Log, cfg.Snapshots},
		Applied: r.applier.index, StampMs: r.applier.stampMs, NextDueMs: cfg.Machine.NextDueMs, Formation: cfg.Machine.Formation,
		ElectionTicks: cfg.ElectionTicks, HeartbeatTicks: cfg.HeartbeatTicks,
		Tick: cfg.Tick, RequestTimeout: cfg.RequestTimeout,
		Logger: raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, err
	}
	r.repairs.to = make(map[uint64]bool)
	if err := r.startInQuarantine(); err != nil {
		return nil, err
	}
	r.status.Store(&Status{ID: cfg.ID, Verdict: r.core.Status().Verdict})
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	r.wg.Add(3)
	go r.raftLoop()
	go r.appendLoop()
	go r.applyLoop()
	return r, nil
}

// Close stops the goroutines and waits for them. What was not applied is not
// answered.
func (r *Replica) Close() {
	r.stop(ErrStopped)
	r.wg.Wait()
	r.snapshots.stop()
}

// Done is closed when the replica has stopped; Err then tells why.
func (r *Replica) Done() <-chan struct{} { return r.ctx.Done() }

// Err returns nil while the replica runs, ErrStopped after Close, and otherwise
// the failure that ended it, upon which the process must end.
func (r *Replica) Err() error { return context.Cause(r.ctx) }

// Status returns the node's view of the cluster.
func (r *Replica) Status() Status { return *r.status.Load() }

// Digest returns the digest of the replicated state and the index it is of.
func (r *Replica) Digest() (index, digest uint64) { return r.applier.Digest() }

// Submit hands over a sub-batch of an event loop; the replica takes over ops.
// The loop's Client gets one or two answers for tag: it must heed the first.
func (r *Replica) Submit(loop int, tag uint64, count int, ops []byte) {
	r.in.put(input{kind: inputSubmit, loop: loop, tag: tag, n: count, bytes: ops})
}

// Read asks that n reads of an event loop be confirmed.
func (r *Replica) Read(loop, n int) { r.in.put(input{kind: inputRead, loop: loop, n: n}) }

// Hint hands over hashes, of 8 bytes each, of items that were read on this node;
// the replica takes over the slice. It passes on up to 64 KiB every 50 ms, and
// drops what is more.
func (r *Replica) Hint(hashes []byte) { r.in.put(input{kind: inputHint, bytes: hashes}) }

// HandleRaft takes a raft message of a peer.
func (r *Replica) HandleRaft(_ uint64, m *pb.Message) {
	r.in.put(input{kind: inputStep, message: m})
}

// HandleForward takes a peer's sub-batches.
func (r *Replica) HandleForward(from uint64, payload []byte) {
	r.in.put(input{kind: inputForwarded, peer: from, bytes: payload})
}

// HandleSignal takes a peer's small message.
func (r *Replica) HandleSignal(from uint64, payload []byte) {
	r.in.put(input{kind: inputSignalled, peer: from, bytes: payload})
}

// HandleForwardRestored tells that the forward stream to a peer was connected
// anew: what was on its way may be lost.
func (r *Replica) HandleForwardRestored(peer uint64) {
	r.in.put(input{kind: inputInterrupted, peer: peer})
}

// HandleUnreachable tells that a peer's control or append stream went down.
func (r *Replica) HandleUnreachable(peer uint64) {
	r.in.put(input{kind: inputUnreachable, peer: peer})
}

// HandleSnapshot receives a snapshot's file; header is the MsgSnap, or says that
// it is a repair. It returns when the file is durable and raft, or the applier,
// knows of it.
func (r *Replica) HandleSnapshot(_ uint64, header []byte, sizeBytes int64, rd io.Reader) error {
	if isRepair(header) {
		return r.receiveRepair(header, sizeBytes, rd)
	}
	m, err := receiveSnapshot(r.cfg.Snapshots, header, sizeBytes, rd)
	if err != nil {
		return err
	}
	r.in.put(input{kind: inputStep, message: m})
	return nil
}

// fail ends the replica with err as the cause.
func (r *Replica) fail(err error) {
	if err != nil {
		r.stop(err)
	}
}

// raftLoop owns the core: it feeds it what has come in and carries out what it
// wants done. It never waits for a disk, a peer or the applier.
func (r *Replica) raftLoop() {
	defer r.wg.Done()
	ticker := time.NewTicker(r.cfg.Tick)
	defer ticker.Stop()
	var (
		start = time.Now()
		taken []input
		eff   Effects
	)
	for {
		tick := false
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
			tick = true
		case <-r.in.wake:
		}
		now := time.Now()
		r.core.Observe(now.Sub(start), now)
		taken = r.in.take(taken)
		for i := range taken {
			r.feed(&taken[i])
		}
		if tick {
			r.core.Tick()
		}
		r.core.Ready(&eff)
		r.publish() // first: whoever is told of an effect may ask for the reason
		r.carryOut(&eff)
	}
}

func (r *Replica) feed(in *input) {
	switch in.kind {
	case inputStep:
		r.core.Step(in.message)
	case inputSubmit:
		r.core.Submit(in.loop, in.tag, in.n, in.bytes)
	case inputRead:
		r.core.Read(in.loop, in.n)
	case inputHint:
		r.core.Hint(in.bytes)
	case inputForwarded:
		if err := r.core.Forwarded(in.peer, in.bytes); err != nil {
			r.log.Warn("dropped what a peer forwarded", "peer", in.peer, "err", err)
		}
	case inputSignalled:
		if err := r.core.Signalled(in.peer, in.bytes); err != nil {
			r.log.Warn("dropped a peer's signal", "peer", in.peer, "err", err)
		}
	case inputInterrupted:
		r.core.Interrupted(in.peer)
	case inputUnreachable:
		r.core.Unreachable(in.peer)
	case inputSnapshotSent:
		r.core.SnapshotSent(in.peer, in.ok)
	case inputAppended:
		r.core.Appended(in.messages)
	case inputApplied:
		r.core.Applied(in.applied)
	}
}

// carryOut hands the effects on. Messages leave first: followers write to their
// disks while this node writes to its own.
func (r *Replica) carryOut(eff *Effects) {
	for _, m := range eff.Messages {
		r.send(m)
	}
	for _, m := range eff.Snapshots {
		r.sendSnapshot(m)
	}
	if len(eff.Append) > 0 {
		r.toLog.put(eff.Append...)
	}
	for _, m := range eff.Apply {
		r.toApply.put(applyWork{entries: m})
	}
	r.carryOutRepairs(eff)
	for _, f := range eff.Forwards {
		if !r.cfg.Transport.Forward(f.To, f.Payload) {
			r.core.Interrupted(f.To)
		}
	}
	for _, s := range eff.Signals {
		r.cfg.Transport.Signal(s.To, s.Payload) // lost ones are made up for by the next
	}
	for _, e := range eff.Expired {
		r.cfg.Clients[e.Loop].Expired(e.Tag, e.Sent, e.Verdict)
	}
	for _, d := range eff.Reads {
		r.cfg.Clients[d.Loop].ReadsDone(d.N, d.OK)
	}
}

func (r *Replica) send(m *pb.Message) {
	if !r.cfg.Transport.Send(m) && m.GetType() == pb.MsgApp {
		r.in.put(input{kind: inputUnreachable, peer: m.GetTo()})
	}
}

func (r *Replica) sendSnapshot(m *pb.Message) {
	to := m.GetTo()
	done := func(err error) {
		if err != nil {
			r.log.Warn("snapshot did not reach a peer", "peer", to, "err", err)
		}
		r.in.put(input{kind: inputSnapshotSent, peer: to, ok: err == nil})
	}
	if r.repairs.frozen.Load() {
		done(errQuarantine)
		return
	}
	if err := shipSnapshot(r.cfg.Snapshots, r.cfg.Transport, m, done); err != nil {
		done(err)
	}
}

func (r *Replica) publish() {
	if s := r.core.Status(); s != *r.status.Load() {
		if old := r.status.Load(); s.Leader != old.Leader || s.Term != old.Term || s.State != old.State {
			r.log.Info("raft", "state", s.State.String(), "term", s.Term, "leader", s.Leader)
		}
		r.status.Store(&s)
	}
}

// appendLoop is the append worker. While one batch syncs, the next one gathers.
func (r *Replica) appendLoop() {
	defer r.wg.Done()
	var taken []*pb.Message
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.toLog.wake:
		}
		taken = r.toLog.take(taken)
		responses, err := r.appender.Append(taken)
		if err != nil {
			r.fail(err)
			return
		}
		var own []*pb.Message
		for _, m := range responses {
			if m.GetTo() == r.cfg.ID {
				own = append(own, m)
			} else {
				r.send(m)
			}
		}
		if len(own) > 0 {
			r.in.put(input{kind: inputAppended, messages: own})
		}
		if err := r.snapshots.compact(); err != nil {
			r.fail(err)
			return
		}
	}
}

// applyWork is something for the applier, one of: committed entries; a snapshot
// to continue from, whose outcome goes to installed; what repairs need; or
// nothing, which wakes it.
type applyWork struct {
	entries   *pb.Message
	snapshot  *pb.SnapshotMetadata
	installed chan<- error

	freeze bool
	repair *pb.SnapshotMetadata // on disk, to replace a frozen state
	serve  *Repair
}

// applyLoop is the applier. When it has nothing to apply it tidies up.
func (r *Replica) applyLoop() {
	defer r.wg.Done()
	var taken []applyWork
	for {
		if !r.awaitWork() {
			return
		}
		taken = r.toApply.take(taken)
		if err := r.applyAll(taken); err != nil {
			r.fail(err)
			return
		}
	}
}

// awaitWork waits until there is something for the applier; false means that the
// replica has stopped.
func (r *Replica) awaitWork() bool {
	for more := true; more; {
		select {
		case <-r.ctx.Done():
			return false
		case <-r.toApply.wake:
			return true
		default:
			more = r.cfg.Machine.Tidy()
		}
	}
	select {
	case <-r.ctx.Done():
		return false
	case <-r.toApply.wake:
		return true
	}
}

func (r *Replica) applyAll(work []applyWork) error {
	var batch Batch
	for _, w := range work {
		if err := r.applyOne(w, &batch); err != nil {
			return err
		}
	}
	for loop, answers := range batch.Answers {
		if len(answers) > 0 {
			r.cfg.Clients[loop].Answers(answers)
		}
	}
	if batch.Report.Index > 0 {
		r.in.put(input{kind: inputApplied, applied: &batch.Report})
	}
	if r.applier.LogBytes() > max(r.cfg.LogRetainBytes, r.cfg.Machine.SizeBytes())/2 {
		r.snapshots.take(r.applier, r.wakeApplier, r.fail, func(uint64, bool) {})
	}
	if r.snapshots.produce(r.ctx) {
		r.wakeApplier()
	}
	return nil
}

// wakeApplier has the applier look for more to do for a snapshot.
func (r *Replica) wakeApplier() { r.toApply.put(applyWork{}) }

// install makes the applier continue from a snapshot; the append worker waits
// for it.
func (r *Replica) install(meta *pb.SnapshotMetadata) error {
	installed := make(chan error, 1)
	r.toApply.put(applyWork{snapshot: meta, installed: installed})
	select {
	case err := <-installed:
		return err
	case <-r.ctx.Done():
		return r.Err()
	}
}

// storage completes a Log to what raft reads from.
type storage struct {
	Log
	snapshots Snapshots
}

// Snapshot returns the newest snapshot. Its data is its size: the bytes travel
// on a stream of their own.
func (s storage) Snapshot() (*pb.Snapshot, error) {
	list, err := s.snapshots.List()
	if err != nil || len(list) == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: list[0]}, nil
}
