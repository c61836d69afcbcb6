package replication

import (
	"cmp"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

var (
	// errNoRepairWanted refuses a repair that comes too late.
	errNoRepairWanted = errors.New("no repair is wanted")

	// errSnapshotBusy refuses a repair that comes while a snapshot is written,
	// which might have its name. It is asked for again.
	errSnapshotBusy = errors.New("a snapshot is being written")

	// errFrozen refuses a snapshot of a state that a majority contradicts.
	errFrozen = errors.New("the state differs from that of a majority")
)

// Applier is the step machine of the goroutine that owns the replicated state.
// It decides what is applied, when a snapshot is taken and the log cut, when a
// snapshot replaces the state, and whether a peer is sent one. step takes what
// has happened, ready gives out what is to be done. It does no IO.
//
// Invariant: effects are carried out in order. While a snapshot is restored, or
// the image that is being written is behind, nothing is applied.
type Applier struct {
	st      *state
	batch   *Batch // applied, not given out yet
	effects []applyEffect
	waiting []applyInput // until nothing holds the applier any more
	failed  bool

	restoring *restoring // from effectRestore to applyRestored
	frozen    *frozen    // set while the state must not change
	snapshots schedule

	bugs bugs
}

// restoring is a snapshot that is replacing the state.
type restoring struct {
	meta  *pb.SnapshotMetadata
	reply func(error) // to the append worker; nil for a repair
}

// applyInput is something that happened, for the applier.
type applyInput struct {
	kind    applyInputKind
	entries *pb.Message          // applyEntries: a MsgStorageApply
	meta    *pb.SnapshotMetadata // applyInstall, applyAim
	reply   func(error)          // applyInstall, applyOffer; applyTake, or nil
	repair  Repair               // applyServe
	index   uint64               // applyTake, applyDamaged
	space   Space                // applySpace
	free    int64                // applySpace
	part    []byte               // applyWritten: the part's buffer
	ok      bool                 // applyEnded: the snapshot is durable
	err     error                // applyRestored; applyEnded: it was given up, because the disk was full
}

type applyInputKind uint8

const (
	applyAgain    applyInputKind = iota // nothing: ready is to be called
	applyEntries                        // entries are committed
	applyInstall                        // the append worker has a snapshot to continue from
	applyFreeze                         // a majority contradicts the state
	applyOffer                          // a peer has a repair to send
	applyAim                            // a repair is on disk
	applyServe                          // a peer wants this node's state
	applyTake                           // a snapshot of an index or later, with a reply of all that is applied, is wanted
	applyDamaged                        // the snapshot of an index was set aside
	applySpace                          // the disk has more room than before, or less
	applyWritten                        // a part of a snapshot was written
	applyEnded                          // a snapshot was committed or aborted
	applyRestored                       // effectRestore was carried out
)

// applyEffect is something that the applier wants done.
type applyEffect struct {
	kind    applyEffectKind
	loop    int                  // effectAnswers
	answers []Answer             // effectAnswers
	report  *AppliedUpTo         // effectReport
	write   snapshotWrite        // effectWrite
	meta    *pb.SnapshotMetadata // effectRestore
	repair  bool                 // effectRestore: a repair, not an install
	image   *Image               // effectKeep
	index   uint64               // effectCut, effectPrune
	ship    Ship                 // effectShip, effectNoShip
	reply   func(error)          // effectReply
	err     error                // effectReply, effectFail
}

type applyEffectKind uint8

const (
	effectAnswers applyEffectKind = iota // to an event loop
	effectReport                         // to the core
	effectWrite                          // to the snapshot writer
	effectCut                            // to the append worker: the log may go, up to index
	effectPrune                          // remove the snapshots below index
	effectRestore                        // replace the state by a snapshot; applyRestored follows
	effectKeep                           // write an image of a state that is to be replaced
	effectShip                           // to a peer; Core.Shipped follows
	effectNoShip                         // to the core: a peer is not sent anything
	effectReply                          // to the goroutine that waits for it
	effectAgain                          // to the applier itself, after what is queued for it
	effectFail                           // the node must stop
)

// newApplier returns the applier of a restored state.
func newApplier(st *state, cfg *ReplicaConfig) *Applier {
	return &Applier{st: st, batch: &Batch{}, bugs: cfg.bugs, snapshots: schedule{
		retainBytes: cfg.LogRetainBytes, partBytes: cmp.Or(cfg.partBytes, snapshotPartBytes),
		newest: position{st.index, st.term}, newestBytes: st.machine.SizeBytes(),
	}}
}

// State returns the digest of the state, by its parts, or false while an entry is
// applied or the state is replaced. Any goroutine may call it; it waits for nothing.
func (a *Applier) State() (StateDigest, bool) { return a.st.State() }

// Digest returns the digest of the replicated state and the index it is of. Any
// goroutine may call it; it waits for at most one entry.
func (a *Applier) Digest() (index, digest uint64) { return a.st.Digest() }

// Tidy does a bounded part of what the state machine can do at any time, and
// reports whether there is more. It does nothing while an image is behind: what it
// clears away would be kept for the image as well.
func (a *Applier) Tidy() (more bool) {
	return !a.held() && a.st.machine.Tidy()
}

// step takes what has happened.
func (a *Applier) step(in *applyInput) {
	switch in.kind {
	case applyAgain:
	case applyWritten:
		a.snapshots.free = append(a.snapshots.free, in.part)
	case applyEnded:
		a.ended(in.ok, in.err)
	case applyRestored:
		a.restored(in.err)
	case applySpace:
		a.snapshots.setSpace(a, in.space, in.free)
	default:
		if a.held() || len(a.waiting) > 0 {
			a.waiting = append(a.waiting, *in)
			return
		}
		a.do(in)
	}
}

// ready gives out the effects of all inputs since the last call; spare is reused.
func (a *Applier) ready(spare []applyEffect) []applyEffect {
	for len(a.waiting) > 0 && !a.held() {
		a.do(&a.waiting[0])
		a.waiting[0] = applyInput{}
		if a.waiting = a.waiting[1:]; len(a.waiting) == 0 {
			a.waiting = nil
		}
	}
	if a.restoring == nil && !a.failed {
		a.flush()
		a.advanceSnapshot()
		if len(a.waiting) > 0 && !a.held() || a.snapshots.producible() {
			a.emit(applyEffect{kind: effectAgain})
		}
	}
	clear(spare)
	effects := a.effects
	a.effects = spare[:0]
	return effects
}

// held reports whether nothing may be applied now. What is held back is bounded:
// raft hands out applyBytesMax at most without an answer.
func (a *Applier) held() bool {
	return a.failed || a.restoring != nil || a.snapshots.behind
}

// do carries out one input that must wait its turn.
func (a *Applier) do(in *applyInput) {
	switch in.kind {
	case applyEntries:
		a.apply(in.entries)
	case applyInstall:
		a.restore(in.meta, in.reply)
	case applyFreeze:
		a.freeze()
	case applyOffer:
		a.emit(applyEffect{kind: effectReply, reply: in.reply, err: a.offered()})
	case applyAim:
		a.aim(in.meta)
	case applyServe:
		a.serve(in.repair)
	case applyTake:
		a.take(in.index, in.reply)
	case applyDamaged:
		a.damaged(in.index)
	}
	if meta := a.repairDue(); meta != nil && a.restoring == nil {
		a.restore(meta, nil)
	}
}

func (a *Applier) emit(e applyEffect) { a.effects = append(a.effects, e) }

// fail ends the node.
func (a *Applier) fail(err error) {
	a.failed = true
	a.emit(applyEffect{kind: effectFail, err: err})
}

// apply applies the entries of a MsgStorageApply, or keeps them while the state
// must not change.
func (a *Applier) apply(m *pb.Message) {
	if a.frozen != nil {
		if err := a.hold(m); err != nil {
			a.fail(err)
		}
		return
	}
	if err := a.st.apply(m.GetEntries(), m.GetResponses(), a.batch); err != nil {
		a.fail(err)
	}
}

// flush gives out answers and the report of what was applied.
func (a *Applier) flush() {
	report := &a.batch.Report
	if report.Index == 0 && report.Repair == RepairNone && len(report.Done) == 0 {
		return
	}
	late := a.bugs.has(bugAnswersAfterInstall) && report.Installed
	if late {
		a.emit(applyEffect{kind: effectReport, report: report})
	}
	for loop, answers := range a.batch.Answers {
		if len(answers) > 0 {
			a.emit(applyEffect{kind: effectAnswers, loop: loop, answers: answers})
		}
	}
	if !late {
		a.emit(applyEffect{kind: effectReport, report: report})
	}
	a.batch = &Batch{}
}

// restore has a snapshot replace the state. The answers of what was applied
// before go out first: once the snapshot is reported, a client that still waits for
// a sub-batch that is in it is told that the outcome is unknown.
func (a *Applier) restore(meta *pb.SnapshotMetadata, reply func(error)) {
	if !a.bugs.has(bugAnswersAfterInstall) {
		a.flush()
	}
	a.restoring = &restoring{meta: meta, reply: reply}
	a.emit(applyEffect{kind: effectRestore, meta: meta, repair: reply == nil})
}

// restored takes the outcome of effectRestore. If a repair cannot be restored,
// the frozen state waits for another one.
func (a *Applier) restored(err error) {
	r := a.restoring
	a.restoring = nil
	switch {
	case err != nil && r.reply != nil:
		a.emit(applyEffect{kind: effectReply, reply: r.reply, err: fmt.Errorf("restore snapshot %d: %w", r.meta.GetIndex(), err)})
	case err != nil:
		a.frozen.target = nil
		a.batch.Report.Repair = RepairFrozen
		a.st.note(a.batch)
	default:
		a.installed(r)
	}
}

// installed goes on from the snapshot that has replaced the state, with what was
// held and goes beyond it. After a repair the node's other snapshots are removed:
// they may hold what diverged.
func (a *Applier) installed(r *restoring) {
	a.st.noteInstalled(a.batch)
	a.snapshots.newest, a.snapshots.newestBytes = position{r.meta.GetIndex(), r.meta.GetTerm()}, a.st.machine.SizeBytes()
	if a.frozen != nil {
		held := a.frozen.held
		a.frozen = nil
		a.batch.Report.Repair = RepairDone
		if r.reply == nil {
			a.emit(applyEffect{kind: effectPrune, index: r.meta.GetIndex()})
		}
		for _, m := range held {
			ents := m.GetEntries()
			for len(ents) > 0 && ents[0].GetIndex() <= a.st.index {
				ents = ents[1:]
			}
			if err := a.st.apply(ents, m.GetResponses(), a.batch); err != nil {
				a.fail(err)
				return
			}
		}
		a.batch.Report.Members = a.st.members
	}
	a.flush()
	if r.reply != nil {
		a.emit(applyEffect{kind: effectReply, reply: r.reply})
	}
}
