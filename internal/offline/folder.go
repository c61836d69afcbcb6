package offline

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

// Folder is a locked data folder, and the state that its snapshot and its log make.
type Folder struct {
	Findings

	fs     disk.FS
	dir    string
	id     *identity.Identity
	engine *engine.Engine
	state  *replication.Offline
	term   uint64 // of the log's hard state: no later one was ever seen here
	last   uint64 // sequence number of the last segment
}

// Findings are what a data folder has, and what it may lack.
type Findings struct {
	ServerID  int
	Cluster   uint64
	Directory identity.DirectoryID

	Index, Term uint64 // of the last entry of the state
	Commit      uint64 // entries up to it are known to be committed
	Snapshot    uint64 // index of the snapshot that the state begins with; 0: none
	Time        time.Time
	Items       int64
	Bytes       int64

	Members *replication.Membership // at Index
	RaftID  uint64                  // of this folder
	Seen    identity.Memory         // newest start that was seen of each other folder

	// Damage is what is wrong with the files; empty: nothing. Lost is the index of the
	// last entry that there was, as far as can be seen, and Index if all of them are left.
	Damage []error
	Lost   uint64

	// Diverged: the items were found to differ from those of a majority, and were not
	// repaired since.
	Diverged bool

	Recovery *identity.Recovery // how the folder was recovered before; nil: never
}

// Options of Open.
type Options struct {
	// Progress, if set, is told how many bytes of the log were read.
	Progress func(done, total int64)
}

// ErrNothing reports that a folder has nothing to recover.
var ErrNothing = errors.New("it holds nothing")

// Open locks the data folder and reads it. Damage is no error: see Findings. A folder that
// needs nothing but Finish has an Index of 0; see Unfinished.
func Open(fs disk.FS, dir string, o Options) (*Folder, error) {
	id, err := identity.OpenOffline(fs, dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{fs: fs, dir: dir, id: id}
	f.ServerID, f.Directory, f.Recovery, f.Seen = id.ServerID(), id.DirectoryID(), id.Recovery(), id.Seen()
	if f.Unfinished() {
		return f, nil
	}
	if err := f.read(o); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %q: %w", dir, err), f.Close())
	}
	return f, nil
}

// Close unlocks the folder.
func (f *Folder) Close() error {
	if f.engine != nil {
		f.engine.Close()
		f.engine = nil
	}
	return f.id.Close()
}

// Unfinished reports whether a recovery of the folder was interrupted: Finish ends it.
func (f *Folder) Unfinished() bool { return f.Recovery != nil && f.Recovery.Unfinished }

func (f *Folder) read(o Options) error {
	c := f.id.Cluster()
	if c == nil {
		return fmt.Errorf("%w: its server never formed or joined a cluster", ErrNothing)
	}
	f.Cluster = c.ID
	limits := c.Constants.Limits
	var err error
	f.engine, err = engine.New(engine.Limits{MemoryBytes: limits.MemoryLimitBytes, ItemBytesMax: int(limits.ItemBytesMax), NoEvict: limits.NoEvict})
	if err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	formed := make([]replication.Member, len(c.Members))
	conf := &pb.ConfState{}
	for i, m := range c.Members {
		formed[i] = memberOf(m)
		conf.Voters = append(conf.Voters, m.RaftID)
	}
	f.state = replication.NewOffline(formed, machine{f.engine})
	if err := f.readSnapshots(); err != nil {
		return err
	}
	if err := f.readLog(conf, o); err != nil {
		return err
	}
	f.find(c)
	return nil
}

func (f *Folder) damaged(err error) { f.Damage = append(f.Damage, err) }

func (f *Folder) snapshotOptions() snapshot.Options {
	return snapshot.Options{
		Owner:   snapshot.Owner{Directory: f.Directory, Cluster: f.Cluster},
		Unowned: f.id.Unowned().Snapshot, ReadOnly: true,
	}
}

// readSnapshots restores the newest snapshot that is whole.
func (f *Folder) readSnapshots() error {
	store, err := snapshot.Open(f.fs, filepath.Join(f.dir, "snap"), f.snapshotOptions())
	if err != nil {
		return err
	}
	err = f.state.Restore(snapshots{store}, func(index uint64, err error) {
		f.Lost = max(f.Lost, index)
		f.damaged(err)
	})
	if err != nil {
		return err
	}
	f.Snapshot, _ = f.state.Position()
	diverged, err := snapshot.Open(f.fs, filepath.Join(f.dir, "diverged"), f.snapshotOptions())
	if err != nil {
		return err
	}
	f.Diverged, err = f.state.Diverged(snapshots{diverged})
	return err
}

// readLog applies what the log has beyond the snapshot.
func (f *Folder) readLog(conf *pb.ConfState, o Options) error {
	salvage := &wal.Salvage{Base: f.Snapshot, Damaged: f.damaged}
	floor := f.id.Floor()
	opts := wal.Options{
		Bootstrap: conf, Salvage: salvage, Floor: wal.Floor(floor),
		Owner:   wal.Owner{Directory: f.Directory, Boot: f.id.Boot() + 1},
		Unowned: f.id.Unowned().Segment, Progress: o.Progress,
	}
	w, err := wal.Open(f.fs, filepath.Join(f.dir, "wal"), opts)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }() // it was only read
	hard, _, err := w.InitialState()
	if err != nil {
		return err
	}
	f.Commit = max(hard.GetCommit(), f.Snapshot)
	f.term = max(hard.GetTerm(), floor.Term)
	f.last = max(w.LastSegment(), floor.Segment)
	if err := f.state.Replay(log{w}); err != nil {
		return err
	}
	index, _ := f.state.Position()
	f.Lost = max(f.Lost, index, salvage.Seen, floor.Index, hard.GetCommit())
	return nil
}

// find notes what the state says.
func (f *Folder) find(c *identity.Cluster) {
	f.Index, f.Term = f.state.Position()
	f.term = max(f.term, f.Term)
	f.Members = f.state.Members()
	if ms := f.state.StampMs(); ms > 0 {
		f.Time = time.UnixMilli(ms).UTC()
	}
	stats := f.engine.Stats()
	f.Items, f.Bytes = stats.CurrItems, stats.Bytes
	lists := [][]identity.Member{c.Members}
	if c.Roster != nil {
		lists = append(lists, c.Roster.Members)
	}
	for _, list := range lists {
		for _, m := range list {
			if m.DirectoryID == f.Directory {
				f.RaftID = m.RaftID
			}
		}
	}
}

func memberOf(m identity.Member) replication.Member {
	return replication.Member{
		ServerID: m.ServerID, RaftID: m.RaftID, Directory: replication.DirectoryID(m.DirectoryID),
		Host: m.Host, ClientPort: m.ClientPort, LogPort: m.LogPort, Learner: m.Learner, Stays: m.Stays, Retired: m.Retired,
	}
}

// machine is the engine as replication.StateMachine. Nobody waits for answers.
type machine struct{ *engine.Engine }

// Apply implements replication.StateMachine.
func (m machine) Apply(count int, ops []byte, _ any, _ bool) any {
	m.Engine.Apply(count, ops, false)
	return nil
}

// View implements replication.StateMachine.
func (m machine) View() replication.View { return m.Image() }

// snapshots is a snapshot store as replication.Snapshots.
type snapshots struct{ *snapshot.Store }

// Create implements replication.Snapshots.
func (s snapshots) Create(meta *pb.SnapshotMetadata) (replication.SnapshotWriter, error) {
	return s.Store.Create(meta)
}

// Open implements replication.Snapshots.
func (s snapshots) Open(index, term uint64) (io.ReadCloser, error) { return s.Store.Open(index, term) }

// log is a log that is read, as replication.Log.
type log struct{ *wal.Log }

// Save implements replication.Log.
func (l log) Save(hs *pb.HardState, ents []*pb.Entry, snap *pb.SnapshotMetadata, sync bool) error {
	return l.Log.Save(wal.Write{HardState: hs, Entries: ents, Snapshot: snap, Sync: sync})
}
