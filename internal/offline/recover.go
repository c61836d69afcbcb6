package offline

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"

	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/identity"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Refuse returns why the folder cannot or need not be recovered, or nil. With force a
// reason that costs something is none.
func (f *Folder) Refuse(force bool) error {
	m := f.Members
	self, isMember := m.Find(f.RaftID)
	switch {
	case f.Index == 0:
		return fmt.Errorf("%w that could be recovered: neither a snapshot nor the log's first entries are readable%s", ErrNothing, f.damageText())
	case isMember && self.Directory == replication.DirectoryID(f.Directory) && slices.Equal(m.Conf.GetVoters(), []uint64{f.RaftID}) && len(m.Conf.GetVotersOutgoing()) == 0:
		if f.Recovery != nil {
			return fmt.Errorf("it was recovered already, as cluster %016x, and is the only server of that with a vote: start it, and add others with `raftcachectl member add`", f.Cluster)
		}
		return fmt.Errorf("its server is the only one of cluster %016x with a vote, and needs no other: start it", f.Cluster)
	case force:
		return nil
	case len(f.Damage) > 0:
		return fmt.Errorf("it is damaged%s; %s; another server's folder may be whole: recover that one, or this one as far as it is readable with --force", f.damageText(), f.lossText())
	case f.Diverged:
		return errors.New("its items differ from those of the other servers, as they found out: recover another server's folder, or this one with --force")
	case m.Admits(f.RaftID, replication.DirectoryID(f.Directory)) != nil:
		return fmt.Errorf("%w: recover the folder of a server that stayed, or this one with --force", m.Admits(f.RaftID, replication.DirectoryID(f.Directory)))
	}
	return nil
}

// damageText names each damage.
func (f *Folder) damageText() string {
	var text strings.Builder
	for _, err := range f.Damage {
		fmt.Fprintf(&text, "; %v", err)
	}
	return text.String()
}

// lossText says what is not readable.
func (f *Folder) lossText() string {
	if f.Lost > f.Index {
		return fmt.Sprintf("of %d entries that it has had, those after %d would be lost", f.Lost, f.Index)
	}
	return fmt.Sprintf("it is readable up to entry %d, the last one that is known of", f.Index)
}

// Recover makes the folder the first of a new cluster, with self's address, whose only
// server it is, and returns that cluster's id. Refuse must have returned nil. If it is
// interrupted it can be done again; see the package's comment.
func (f *Folder) Recover(self identity.Member, random io.Reader) (cluster uint64, err error) {
	next, err := f.id.Renew(random)
	if err != nil {
		return 0, err
	}
	self.ServerID, self.DirectoryID = f.ServerID, next.DirectoryID()
	self.RaftID = max(f.Members.NextRaftID, f.RaftID+1)
	self.Learner, self.Stays, self.Retired = false, false, false
	c := identity.NewCluster(f.constants(), []identity.Member{self})
	r := identity.Recovery{
		Cluster: f.Cluster, Earlier: f.Recovery.LostClusters(), DirectoryID: f.Directory, Index: f.Index, Term: f.Term,
		Unfinished: true, FirstSegment: f.last + 1, SnapshotTerm: f.term + 1,
	}
	if err := f.unstage(); err != nil {
		return 0, err
	}
	if err := f.state.Found(memberOf(self), r.SnapshotTerm); err != nil {
		return 0, err
	}
	meta, err := f.writeSnapshot(next, c.ID)
	if err != nil {
		return 0, err
	}
	floor, err := f.writeLog(next, meta, r.FirstSegment)
	if err != nil {
		return 0, err
	}
	if err := next.Recover(c, identity.Floor(floor), r); err != nil {
		return 0, err
	}
	f.id, f.Recovery, f.Cluster, f.Directory = next, next.Recovery(), c.ID, next.DirectoryID()
	return c.ID, f.Finish()
}

// constants are those of the new cluster: as its members had changed them.
func (f *Folder) constants() identity.Constants {
	c := f.id.Cluster().Constants
	switch f.Members.Leases {
	case replication.LeasesOff:
		c.Leases = identity.LeasesOff
	case replication.LeasesLeader:
		c.Leases = identity.LeasesLeader
	case replication.LeasesAll:
		c.Leases = identity.LeasesAll
	}
	return c
}

// unstage removes what an interrupted recovery has written.
func (f *Folder) unstage() error {
	for _, sub := range []string{"wal", "snap"} {
		dir := filepath.Join(f.dir, sub)
		if err := disk.MakeSubdir(f.fs, dir); err != nil {
			return err
		}
		names, err := f.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasSuffix(name, stagedSuffix) {
				continue
			}
			if err := f.fs.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		}
	}
	return nil
}

func (f *Folder) writeSnapshot(next *identity.Identity, cluster uint64) (*pb.SnapshotMetadata, error) {
	store, err := snapshot.Open(staged{f.fs}, filepath.Join(f.dir, "snap"), snapshot.Options{
		Owner: snapshot.Owner{Directory: next.DirectoryID(), Cluster: cluster},
	})
	if err != nil {
		return nil, err
	}
	return f.state.Write(snapshots{store})
}

// segmentBytes is the room of the new log's first segment. It holds no entry: the
// server's start begins the next one.
const segmentBytes = 4 << 10

// writeLog writes a log without entries that begins after a snapshot.
func (f *Folder) writeLog(next *identity.Identity, meta *pb.SnapshotMetadata, first uint64) (wal.Floor, error) {
	w, err := wal.Open(staged{f.fs}, filepath.Join(f.dir, "wal"), wal.Options{
		Bootstrap: meta.GetConfState(), First: first, SegmentBytes: segmentBytes,
		Owner: wal.Owner{Directory: next.DirectoryID(), Boot: next.Boot()},
	})
	if err != nil {
		return wal.Floor{}, err
	}
	term, commit := meta.GetTerm(), meta.GetIndex()
	hard := &pb.HardState{Term: &term, Vote: new(uint64(0)), Commit: &commit}
	err = w.Save(wal.Write{HardState: hard, Snapshot: meta, Sync: true})
	return wal.Floor{Segment: first, Term: term, Index: commit}, errors.Join(err, w.Close())
}

// Finish ends a recovery after which the folder is that of the new cluster.
func (f *Folder) Finish() error {
	r := f.Recovery
	err := f.settle("wal", fmt.Sprintf("%016x.wal", r.FirstSegment))
	if err == nil {
		err = f.settle("snap", fmt.Sprintf("%016x-%016x.snap", r.Index, r.SnapshotTerm))
	}
	if err == nil {
		err = f.settle("diverged", "")
	}
	if err != nil {
		return fmt.Errorf("finish the recovery: %w: make it possible, and run the command again", err)
	}
	return f.id.FinishRecovery()
}

// settle gives the staged file its name, and removes all others of a folder.
func (f *Folder) settle(sub, keep string) error {
	dir := filepath.Join(f.dir, sub)
	names, err := f.fs.List(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.Contains(names, keep+stagedSuffix) {
		if err := disk.Publish(f.fs, filepath.Join(dir, keep+stagedSuffix), filepath.Join(dir, keep)); err != nil {
			return err
		}
		names = append(names, keep)
	} else if keep != "" && !slices.Contains(names, keep) {
		return fmt.Errorf("file %q is missing", filepath.Join(dir, keep))
	}
	for _, name := range names {
		if name == keep || name == keep+stagedSuffix {
			continue
		}
		if err := f.fs.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove what the lost cluster had: %w", err)
		}
	}
	return f.fs.SyncDir(dir)
}
