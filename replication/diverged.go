package replication

import (
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// keepDiverged writes the image of a state that is to be replaced, and removes
// the one before. An older state than the one that is kept says nothing: it is
// what a node in quarantine was started with again.
func keepDiverged(store Snapshots, image *Image) error {
	if since, err := divergedSince(store, image.Index); err != nil || since {
		return err
	}
	w, err := store.Create(&pb.SnapshotMetadata{Index: new(image.Index), Term: new(image.Term)})
	if err != nil {
		return fmt.Errorf("create image %d: %w", image.Index, err)
	}
	if err := image.write(w); err != nil {
		return fmt.Errorf("write image %d: %w", image.Index, errors.Join(err, w.Abort()))
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("commit image %d: %w", image.Index, err)
	}
	return store.Prune(image.Index)
}

// divergedSince reports whether a state was put in quarantine that is beyond
// index: the state at index is from before its repair, and may have diverged too.
func divergedSince(store Snapshots, index uint64) (bool, error) {
	list, err := store.List()
	if err != nil {
		return false, fmt.Errorf("list diverged states: %w", err)
	}
	return len(list) > 0 && list[0].GetIndex() > index, nil
}
