package replication

import (
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// keepDiverged writes the image of a state that is to be replaced, and removes
// the one before. A state no newer than the one that is kept is not written: it is
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

// divergedSince reports whether a state at or after index was put in quarantine: the
// state at index may have diverged too. A repair of exactly the index at which the
// state was frozen cannot be told from that state; it is fetched once more.
func divergedSince(store Snapshots, index uint64) (bool, error) {
	list, err := store.List()
	if err != nil {
		return false, fmt.Errorf("list diverged states: %w", err)
	}
	return len(list) > 0 && list[0].GetIndex() >= index, nil
}
