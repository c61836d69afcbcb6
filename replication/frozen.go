package replication

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// frozen is what an applier keeps while its state must not change, because a
// majority has another one. What is committed meanwhile waits here: raft hands
// out applyBytesMax at most without an answer.
type frozen struct {
	held   []*pb.Message        // MsgStorageApply
	target *pb.SnapshotMetadata // the snapshot to continue from, once known

	// released is the index of the last entry that was let go: only a snapshot at
	// it, or later, can be continued from.
	released uint64

	// members are as of the last message held: raft's configuration follows the
	// log, whatever becomes of the state.
	members *Membership
}

// freeze keeps the state as it is until a snapshot replaces it, and has its image
// kept, to be inspected.
func (a *Applier) freeze() {
	if a.frozen != nil {
		return
	}
	a.abandon()
	a.serveNobody()
	a.frozen = &frozen{members: a.st.members}
	a.emit(applyEffect{kind: effectKeep, image: a.st.image()})
	a.batch.Report.Repair = RepairFrozen
	a.st.note(a.batch)
}

// aim makes the snapshot meta, which is on disk, the one to continue from. It is
// of no use, and ignored, if the state is not frozen or is beyond it, or if entries
// behind it were let go for the sake of another one.
func (a *Applier) aim(meta *pb.SnapshotMetadata) {
	if a.frozen == nil || meta.GetIndex() < max(a.st.index, a.frozen.released) {
		return
	}
	a.frozen.target = meta
	a.batch.Report.Repair = RepairAtHand
	a.frozen.release(a.batch)
	a.st.note(a.batch)
}

// hold keeps a MsgStorageApply for later. Changes of the members in it are told at
// once: the message may be let go of.
func (a *Applier) hold(m *pb.Message) error {
	for _, e := range m.GetEntries() {
		if e.GetType() != pb.EntryConfChangeV2 {
			continue
		}
		next, change, err := a.frozen.members.apply(e, a.bugs)
		if err != nil {
			return fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
		}
		a.frozen.members = next
		a.st.tell(change, a.batch)
	}
	a.frozen.held = append(a.frozen.held, m)
	a.frozen.release(a.batch)
	a.st.note(a.batch)
	return nil
}

// release lets go of messages that end before the target: they will not be
// applied. raft counts them as applied, and hands out more, up to the target.
func (f *frozen) release(out *Batch) {
	n := 0
	for n < len(f.held) && lastIndex(f.held[n]) < f.target.GetIndex() {
		f.released = lastIndex(f.held[n])
		out.Report.Done = append(out.Report.Done, f.held[n].GetResponses()...)
		n++
	}
	f.held = f.held[n:]
}

func lastIndex(m *pb.Message) uint64 {
	ents := m.GetEntries()
	return ents[len(ents)-1].GetIndex()
}

// repairDue returns the snapshot that is to replace the state now, if any: only
// when raft has handed out its entry. So the log has that entry on disk, and what
// is applied is never ahead of what is committed here.
func (a *Applier) repairDue() *pb.SnapshotMetadata {
	if a.frozen == nil || a.frozen.target == nil {
		return nil
	}
	if len(a.frozen.held) == 0 && a.st.index < a.frozen.target.GetIndex() {
		return nil
	}
	return a.frozen.target
}
