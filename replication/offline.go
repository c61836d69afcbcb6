package replication

import (
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// replayBytes is about how much of a log Replay reads at a time.
const replayBytes = 4 << 20

// Offline is the replicated state of a data folder whose server does not run, as its
// snapshot and its log make it. One goroutine uses it.
type Offline struct{ st *state }

// NewOffline returns the state before the first entry of a cluster's log.
func NewOffline(formed []Member, m StateMachine) *Offline {
	return &Offline{newState(&ReplicaConfig{Formed: formed, Machine: m})}
}

// Position returns index and term of the last entry that the state has.
func (o *Offline) Position() (index, term uint64) { return o.st.index, o.st.term }

// StampMs is the cluster's time at that entry, in ms of Unix time; 0: no entry has any.
func (o *Offline) StampMs() int64 { return o.st.stampMs }

// Members are those of the cluster at that entry. They must not be changed.
func (o *Offline) Members() *Membership { return o.st.members }

// Restore replaces the state by the newest snapshot that is whole, if there is any. Each
// one that is not is passed to damaged.
//
// What a snapshot has is committed, whatever the log says: a node restores one only
// where its log goes on, because of what it has promised; here nothing is promised.
func (o *Offline) Restore(store Snapshots, damaged func(index uint64, err error)) error {
	list, err := store.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, meta := range list {
		if err := restoreSnapshot(store, meta, o.st); err == nil {
			return nil
		} else if errors.Is(err, ErrLater) {
			return fmt.Errorf("snapshot %d: %w", meta.GetIndex(), err)
		} else {
			damaged(meta.GetIndex(), err)
		}
	}
	return nil
}

// Replay applies the entries of the log that follow the state, known to be committed or
// not. If the log does not go on from the state, there are none: it is older, or begins
// later.
func (o *Offline) Replay(log Log) error {
	first, errFirst := log.FirstIndex()
	last, errLast := log.LastIndex()
	if err := errors.Join(errFirst, errLast); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	from := o.st.index + 1
	if from < first || from > last {
		return nil
	}
	// A log whose beginning was lost does not know that term.
	if term, err := log.Term(o.st.index); err != nil || term != o.st.term && term != 0 {
		return err
	}
	var out Batch
	for from <= last {
		ents, err := log.Entries(from, last+1, replayBytes)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if err := o.st.apply(ents, nil, &out); err != nil {
			return err
		}
		out = Batch{Answers: out.Answers}
		from += uint64(len(ents))
	}
	return nil
}

// Diverged reports whether the state was found to differ from that of a majority, as
// far as it was not repaired since.
func (o *Offline) Diverged(store Snapshots) (bool, error) { return divergedSince(store, o.st.index) }

// Found makes the state that of another cluster, which one server forms: all that
// it knows of other servers is dropped. It goes on after the entry (index, term), which
// no log of the old cluster has, because its term is higher than any of that log. The
// cluster version stays: the state may be one that only its programs can write.
// With the rows of the old origins go their sub-batches: none of them applies any more.
func (o *Offline) Found(self Member, term uint64) error {
	if term <= o.st.term || o.st.index == 0 {
		return fmt.Errorf("begin another cluster with entry %d of term %d, the last one has term %d", o.st.index, term, o.st.term)
	}
	o.st.formed = formedMembership([]Member{self})
	raised := o.st.members.Raised
	o.st.members, o.st.term = o.st.formed, term
	if raised > 0 { // a version of the members of its own, so that the snapshot has them
		next := *o.st.formed
		next.Version, next.Settled, next.Raised = 1, true, raised
		o.st.members = &next
	}
	o.st.table = newTable()
	return nil
}

// Write writes the state as a snapshot, from which a node starts.
func (o *Offline) Write(store Snapshots) (*pb.SnapshotMetadata, error) {
	image := o.st.image()
	meta := position{image.Index, image.Term}.meta(image.Conf)
	w, err := store.Create(meta)
	if err != nil {
		return nil, fmt.Errorf("create snapshot %d: %w", image.Index, err)
	}
	if err := image.write(w); err != nil {
		return nil, fmt.Errorf("write snapshot %d: %w", image.Index, errors.Join(err, w.Abort()))
	}
	if err := w.Commit(); err != nil {
		return nil, fmt.Errorf("commit snapshot %d: %w", image.Index, err)
	}
	return meta, nil
}
