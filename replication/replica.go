package replication

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"raftcached/internal/seldom"
)

// Replica runs a node: it carries out what the step machines of a machine want
// done, on a goroutine for each of them and one that writes snapshots. Its
// methods may be called by any goroutine.
type Replica struct {
	cfg     ReplicaConfig
	log     *slog.Logger
	machine *machine

	in      *inbox[input]         // of the raft loop
	toLog   *inbox[appendInput]   // of the append worker
	toApply *inbox[applyInput]    // of the applier
	toDisk  *inbox[snapshotWrite] // of the snapshot writer
	toFetch chan Fetch            // of the reader of the log

	turns      atomic.Uint64 // of the raft loop
	oneByOne   atomic.Bool   // see Effects
	status     atomic.Pointer[Status]
	excluded   atomic.Bool   // see HandleExcluded
	start      time.Time     // of the clock that the core observes
	restoredMs int64         // see RestoredMs
	handedOver chan struct{} // closed when the core has handed over
	members    atomic.Pointer[Membership]
	changes    changeWaiters
	timings    Timings
	commits    commitClock // of the raft loop, as leaders is
	leaders    leaderWatch
	drops      seldom.News[drop]

	stop context.CancelCauseFunc
	ctx  context.Context
	wg   sync.WaitGroup
}

// Turns is how often the raft loop has begun a turn: at least twice in each election
// timeout, if it runs. Any goroutine may call it.
func (r *Replica) Turns() uint64 { return r.turns.Load() }

// ErrStopped is the cause of a Replica that was closed.
var ErrStopped = errors.New("replica closed")

// StartReplica restores the state from the newest snapshot, starts the
// goroutines and returns.
func StartReplica(cfg ReplicaConfig) (*Replica, error) {
	m, err := newMachine(&cfg)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		cfg: cfg, log: cfg.Logger, machine: m, start: time.Now(),
		handedOver: make(chan struct{}),
		in:         newInbox[input](), toLog: newInbox[appendInput](), toApply: newInbox[applyInput](), toDisk: newInbox[snapshotWrite](),
		toFetch: make(chan Fetch, 1),
	}
	m.gate.clock = func() time.Duration { return time.Since(r.start) }
	m.gate.moved = func(loop int) { r.cfg.Clients[loop].Moved() }
	r.restoredMs = m.applier.st.stampMs
	r.status.Store(&Status{ID: cfg.ID, Verdict: m.core.Status().Verdict})
	r.setMembers(m.core.members)
	r.leaders.observe(0, 0, &r.timings)
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	r.wg.Go(r.raftLoop)
	r.wg.Go(r.appendLoop)
	r.wg.Go(r.applyLoop)
	r.wg.Go(r.snapshotLoop)
	r.wg.Go(r.fetchLoop)
	return r, nil
}

// Close stops the goroutines and waits for them. What was not applied is not
// answered.
func (r *Replica) Close() {
	r.stop(ErrStopped)
	r.wg.Wait()
}

// HandOver tells that the node is about to stop: leadership moves to another node,
// if this one has it. It returns when another node leads, nobody can take over, ctx
// ends or the replica stops. It is to be called once.
func (r *Replica) HandOver(ctx context.Context) {
	r.in.put(input{kind: inputHandOver})
	select {
	case <-r.handedOver:
	case <-ctx.Done():
	case <-r.ctx.Done():
	}
}

// RestoredMs is the time of the state that the replica has begun with, in ms of Unix
// time; 0: it was empty.
func (r *Replica) RestoredMs() int64 { return r.restoredMs }

// CommittedAtStart is the index up to which this node's own log says that it is committed,
// as of the start: the node applies that without the others.
func (r *Replica) CommittedAtStart() uint64 { return r.machine.committed }

// SetSpace tells how much room the disk of the log and the snapshots has, and while
// that is not SpaceAmple, how many bytes are free for a snapshot.
func (r *Replica) SetSpace(s Space, freeBytes int64) {
	r.in.put(input{kind: inputSpace, space: s})
	r.toApply.put(applyInput{kind: applySpace, space: s, free: freeBytes})
}

// Done is closed when the replica has stopped; Err then tells why.
func (r *Replica) Done() <-chan struct{} { return r.ctx.Done() }

// Err returns nil while the replica runs, ErrStopped after Close, and otherwise
// the failure that ended it, upon which the process must end.
func (r *Replica) Err() error { return context.Cause(r.ctx) }

// Status returns the node's view of the cluster.
func (r *Replica) Status() Status {
	s := *r.status.Load()
	s.Removed = s.Removed || r.excluded.Load()
	return s
}

// State returns the digest of the replicated state, by its parts, or false while an
// entry is applied or the state is replaced. It waits for nothing.
func (r *Replica) State() (StateDigest, bool) { return r.machine.applier.State() }

// Digest returns the digest of the replicated state and the index it is of.
func (r *Replica) Digest() (index, digest uint64) { return r.machine.applier.Digest() }

// Submit hands over a sub-batch of an event loop, and what is to be read between its
// operations, nil for nothing; the replica takes over ops and reads. Tags grow.
// The loop's Client gets one or two answers for tag: it must heed the first.
// While disks are full, only what frees room on them is let through.
func (r *Replica) Submit(loop int, tag uint64, count int, ops []byte, reads any, frees bool) {
	if reads != nil {
		r.machine.applier.st.behind.put(loop, tag, reads)
	}
	r.in.put(input{kind: inputSubmit, loop: loop, tag: tag, n: count, bytes: ops, ok: frees})
}

// Gate returns what event loops ask before they answer a read by themselves.
func (r *Replica) Gate() *Gate { return r.machine.gate }

// Read asks that n reads of an event loop be confirmed.
func (r *Replica) Read(loop, n int) { r.in.put(input{kind: inputRead, loop: loop, n: n}) }

// Hint hands over hashes, of 8 bytes each, of items that were read on this node;
// the replica takes over the slice. It passes on up to 64 KiB every 50 ms, and
// drops what is more.
func (r *Replica) Hint(hashes []byte) { r.in.put(input{kind: inputHint, bytes: hashes}) }

// HandleRaft takes a raft message of a peer, and the round that came with it.
func (r *Replica) HandleRaft(_ uint64, m *pb.Message, round uint64) {
	r.in.put(input{kind: inputStep, message: m, round: round})
}

// HandleForward takes a peer's sub-batches of the start that it has shown, and checks
// them: on the peer's goroutine, as the raft loop has enough to do.
func (r *Replica) HandleForward(from, boot uint64, payload []byte) {
	in, err := forwarded(from, boot, payload, r.cfg.Machine.Check)
	if err != nil {
		r.dropped(from, err)
	}
	if in != nil {
		r.in.put(*in)
	}
}

// drop is what a peer has sent that was dropped.
type drop struct {
	from   uint64
	reason string
}

// dropped logs that a peer has sent what it never should. One that is broken, or of another
// version, does so with each message. Any goroutine may call it.
func (r *Replica) dropped(from uint64, err error) {
	times, tell := r.drops.Tell(drop{from, err.Error()}, time.Now())
	if !tell {
		return
	}
	attrs := []any{"server", r.name(from), "err", err}
	if times > 1 {
		attrs = append(attrs, "times", times)
	}
	r.log.Warn("dropped what a peer sent", attrs...)
}

// HandleExcluded ends the replica: a peer knows that this node's data folder is a
// copy, which may lack what was acknowledged, or that it is no member any more.
func (r *Replica) HandleExcluded(err error) {
	r.excluded.Store(true)
	r.fail(err)
}

// Admits reports, by an error that wraps ErrRetired, that what a data folder sends
// under a raft id may not be heard.
func (r *Replica) Admits(raftID uint64, directory [16]byte) error {
	return r.members.Load().Admits(raftID, directory)
}

// Settled reports whether a data folder that is not admitted may be told so, upon which
// it stops: nobody can need it any more.
func (r *Replica) Settled() bool { return r.members.Load().settled() }

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
	r.timings.lost.Store(&loss{peer, time.Since(r.start)})
	r.in.put(input{kind: inputUnreachable, peer: peer})
}

// fail ends the replica with err as the cause.
func (r *Replica) fail(err error) {
	if err != nil {
		r.stop(err)
	}
}
