package replication

import (
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// frozen is what an applier keeps while its state must not change, because a
// majority has another one. What is committed meanwhile waits here: raft hands
// out applyBytesMax at most without an answer.
type frozen struct {
	held   []*pb.Message        // MsgStorageApply
	target *pb.SnapshotMetadata // the snapshot to continue from, once known
}

// errRestore tells that a snapshot could not be restored; the state is as it was.
var errRestore = errors.New("the state is as it was")

// Freeze keeps the state as it is until a snapshot replaces it, and returns its
// image, to be inspected. It returns nil if the state was frozen before.
func (a *Applier) Freeze(out *Batch) *Image {
	if a.frozen != nil {
		return nil
	}
	a.frozen = &frozen{}
	out.Report.Repair = RepairFrozen
	a.note(out)
	return a.Image()
}

// Aim makes the snapshot meta, which is on disk, the one to continue from. It is
// of no use, and ignored, if the state is beyond it or not frozen.
func (a *Applier) Aim(meta *pb.SnapshotMetadata, out *Batch) {
	if a.frozen == nil || meta.GetIndex() < a.index {
		return
	}
	a.frozen.target = meta
	out.Report.Repair = RepairAtHand
	a.frozen.release(out)
	a.note(out)
}

// hold keeps a MsgStorageApply for later.
func (a *Applier) hold(m *pb.Message, out *Batch) {
	a.frozen.held = append(a.frozen.held, m)
	a.frozen.release(out)
	a.note(out)
}

// release lets go of messages that end before the target: nobody will apply them.
// raft counts them as applied, and hands out more, up to the target.
func (f *frozen) release(out *Batch) {
	n := 0
	for n < len(f.held) && lastIndex(f.held[n]) < f.target.GetIndex() {
		out.Report.Done = append(out.Report.Done, f.held[n].GetResponses()...)
		n++
	}
	f.held = f.held[n:]
}

func lastIndex(m *pb.Message) uint64 {
	ents := m.GetEntries()
	return ents[len(ents)-1].GetIndex()
}

// RepairDue returns the snapshot that is to replace the state now, if any: only
// when raft has handed out its entry. So the log has that entry on disk, and no
// index that is applied is ever ahead of what is committed here.
func (a *Applier) RepairDue() *pb.SnapshotMetadata {
	if a.frozen == nil || a.frozen.target == nil {
		return nil
	}
	if len(a.frozen.held) == 0 && a.index < a.frozen.target.GetIndex() {
		return nil
	}
	return a.frozen.target
}

// Install replaces the state by a snapshot and applies what was held and goes
// beyond it. If the snapshot cannot be restored, which errRestore tells, a frozen
// state waits for another one.
func (a *Applier) Install(store Snapshots, meta *pb.SnapshotMetadata, out *Batch) error {
	if err := restoreSnapshot(store, meta, a); err != nil {
		if a.frozen != nil {
			a.frozen.target = nil
			out.Report.Repair = RepairFrozen
			a.note(out)
		}
		return fmt.Errorf("restore snapshot %d: %w (%w)", meta.GetIndex(), err, errRestore)
	}
	out.Report.Digests = nil // of the state that is gone
	a.NoteInstalled(out)
	if a.frozen == nil {
		return nil
	}
	held := a.frozen.held
	a.frozen = nil
	out.Report.Repair = RepairDone
	for _, m := range held {
		ents := m.GetEntries()
		for len(ents) > 0 && ents[0].GetIndex() <= a.index {
			ents = ents[1:]
		}
		if err := a.applyAll(ents, m.GetResponses(), out); err != nil {
			return err
		}
	}
	return nil
}
