package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// openTries is how often a snapshot is looked for that may be removed, because two
// newer ones were written, before it is open.
const openTries = 3

// OpenSnapshot is a durable snapshot of the state, to be read outside of the cluster:
// what the state machine's View wrote, checked as it is read. It stays readable when
// its file is removed. Close ends it.
type OpenSnapshot struct {
	Index, Term uint64
	io.ReadCloser
}

// Snapshot returns a snapshot of all that was applied before the call, and waits until it
// is on disk. Who has read something from the state finds it there: Status may not tell yet
// that it was applied. It holds nothing up: the snapshot is one that the node
// might have taken anyway. The error of ctx may come while it is still written.
func (r *Replica) Snapshot(ctx context.Context) (*OpenSnapshot, error) {
	var err error
	for range openTries {
		told := make(chan error, 1)
		r.toApply.put(applyInput{kind: applyTake, index: 1, reply: func(err error) { told <- err }})
		select {
		case err = <-told:
		case <-r.ctx.Done():
			return nil, r.Err()
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a snapshot: %w", ctx.Err())
		}
		if err != nil {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
		var s *OpenSnapshot
		if s, err = openNewest(r.cfg.Snapshots); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// openNewest opens the newest snapshot behind its head.
func openNewest(store Snapshots) (*OpenSnapshot, error) {
	list, err := store.List()
	if err != nil || len(list) == 0 {
		return nil, errors.Join(ErrNoSnapshot, err)
	}
	meta := list[0]
	rc, err := store.Open(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return nil, err
	}
	if _, _, _, err := readSnapshotHead(rc); err != nil {
		return nil, errors.Join(err, rc.Close())
	}
	return &OpenSnapshot{Index: meta.GetIndex(), Term: meta.GetTerm(), ReadCloser: rc}, nil
}
