package node

import (
	"context"
	"errors"
	"fmt"

	"raftcached/internal/settings"
	"raftcached/replication"
	"raftcached/replication/peer"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"
)

// openPast opens the log and the snapshots, which must hold what this server has
// promised to the others.
func (n *Node) openPast() error {
	var err error
	n.files, err = openFiles(n.cfg.Disk, n.cfg.DataDir, n.cfg.segmentBytes(), n.identity, n.readingLog())
	return n.pastError(err)
}

// applyPast returns when the node has applied what its own log has as committed: it knows
// then, for one thing, whether it was removed. Where its state is not the majority's, it
// waits for nothing.
func (n *Node) applyPast(ctx context.Context) error {
	err := n.awaitMembers(ctx, n.replica.CommittedAtStart())
	if errors.Is(err, errInQuarantine) {
		return nil
	}
	return n.pastError(err)
}

// pastError adds what helps if the data folder is the reason why the node cannot start
// or go on: something in it is missing, damaged, older than it was, or of another folder, or
// the cluster goes on without it. None of that passes by itself. It is an error of the
// settings, so that nobody starts the server again before somebody has looked: a log that
// lacks what it has acknowledged would not be noticed by the next leader.
func (n *Node) pastError(err error) error {
	var (
		lost     *wal.LostError
		corrupt  *wal.CorruptError
		segment  *wal.ForeignError
		snapshot *snapshot.ForeignError
	)
	switch {
	case errors.Is(err, replication.ErrLater) || errors.As(err, new(*peer.LaterError)):
		return settings.Errorf("%w", err) // another program helps
	case errors.As(err, new(*peer.RemovedError)):
		return settings.Errorf("%w (data folder %q)", err, n.cfg.DataDir)
	case errors.As(err, new(*peer.OutdatedError)):
		return settings.Errorf("%w", err)
	case errors.Is(err, replication.ErrNoSnapshot), errors.Is(err, replication.ErrOutdated),
		errors.As(err, &lost), errors.As(err, &corrupt), errors.As(err, &segment), errors.As(err, &snapshot):
		return n.lost(err)
	}
	return err
}

// lost adds to the error of a data folder that has lost something what helps.
func (n *Node) lost(err error) error {
	return settings.Errorf("%w; server %d cannot go on with data folder %q: %s", err, n.cfg.ServerID, n.cfg.DataDir, n.remedy())
}

// remedy says how to bring back a server whose data folder cannot be trusted.
func (n *Node) remedy() string {
	if m := n.members(); m == nil && len(n.cfg.Servers) == 1 || m != nil && len(m.Members) == 1 {
		return "there is no other server to get the data from; to start with an empty cache, move the folder away"
	}
	return fmt.Sprintf("run `raftcachectl member replace %d` at another server, move the folder away, and start this server again", n.cfg.ServerID)
}
