package node

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"raftcached/engine"
	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/identity"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// files are the parts of a data folder that replication writes, behind the
// interfaces that it declares.
type files struct {
	log       log
	snapshots snapshots
	diverged  snapshots
}

// openFiles opens the log and the snapshots of a member of the cluster. They must be
// this folder's, and the log must have what the identity says it had. Reading it is
// reported to progress.
func openFiles(fs disk.FS, dir string, segmentBytes int64, id *identity.Identity, progress func(done, total int64)) (*files, error) {
	conf := &pb.ConfState{}
	for _, m := range id.Cluster().Members {
		conf.Voters = append(conf.Voters, m.RaftID)
	}
	starts := id.Lineage().Incarnations
	last := len(starts) - 1
	w, err := wal.Open(fs, filepath.Join(dir, "wal"), wal.Options{
		Bootstrap: conf, Background: true, Progress: progress,
		Owner:   wal.Owner{Directory: id.DirectoryID(), Boot: id.Boot(), Incarnation: starts[last]},
		Earlier: starts[:last], Unowned: id.Unowned().Segment,
		Floor:     wal.Floor(id.Floor()),
		KeepFloor: func(f wal.Floor, within time.Duration) error { return id.KeepFloor(identity.Floor(f), within) },

		SegmentBytes: segmentBytes,
	})
	if err != nil {
		return nil, err
	}
	o := snapshot.Options{
		Owner:   snapshot.Owner{Directory: id.DirectoryID(), Cluster: id.Cluster().ID},
		Unowned: id.Unowned().Snapshot,
	}
	store, err := snapshot.Open(fs, filepath.Join(dir, "snap"), o)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	diverged, err := snapshot.Open(fs, filepath.Join(dir, "diverged"), o)
	if err == nil {
		err = id.KeepUnowned(identity.Unowned{Segment: w.Unowned(), Snapshot: max(store.Unowned(), diverged.Unowned())})
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &files{log{w}, snapshots{store}, snapshots{diverged}}, nil
}

func (f *files) close() error { return f.log.Close() }

// log is the write-ahead log as replication.Log.
type log struct{ *wal.Log }

// Save implements replication.Log.
func (l log) Save(hs *pb.HardState, ents []*pb.Entry, snap *pb.SnapshotMetadata, sync bool) error {
	err := l.Log.Save(wal.Write{HardState: hs, Entries: ents, Snapshot: snap, Sync: sync})
	if errors.Is(err, wal.ErrFull) {
		return fmt.Errorf("%w: %w", replication.ErrDiskFull, err)
	}
	return err
}

// snapshots is the snapshot store as replication.Snapshots.
type snapshots struct{ *snapshot.Store }

// Create implements replication.Snapshots.
func (s snapshots) Create(meta *pb.SnapshotMetadata) (replication.SnapshotWriter, error) {
	w, err := s.Store.Create(meta)
	return snapshotWriter{w}, full(err)
}

// snapshotWriter is a snapshot's writer as replication.SnapshotWriter.
type snapshotWriter struct{ *snapshot.Writer }

// Write implements replication.SnapshotWriter.
func (w snapshotWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	return n, full(err)
}

// Commit implements replication.SnapshotWriter.
func (w snapshotWriter) Commit() error { return full(w.Writer.Commit()) }

// full makes an error replication.ErrDiskFull if it says so.
func full(err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("%w: %w", replication.ErrDiskFull, err)
	}
	return err
}

// Open implements replication.Snapshots.
func (s snapshots) Open(index, term uint64) (io.ReadCloser, error) { return s.Store.Open(index, term) }

// machine is the engine as replication.StateMachine.
type machine struct{ *engine.Engine }

// Apply implements replication.StateMachine. The results are *engine.Results, the reads
// *engine.Reads.
func (m machine) Apply(count int, ops []byte, reads any, want bool) any {
	if reads != nil {
		return m.ApplyReading(count, ops, reads.(*engine.Reads))
	}
	if results := m.Engine.Apply(count, ops, want); results != nil {
		return results
	}
	return nil // and not one of its type
}

// View implements replication.StateMachine.
func (m machine) View() replication.View { return m.Image() }
