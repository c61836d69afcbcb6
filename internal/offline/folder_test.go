package offline

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"raftcached/engine"
	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/frame"
	"raftcached/replication/identity"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	testDir     = "data"
	testServer  = 2
	testStampMs = 1_790_000_000_000
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// random is a source that repeats itself.
type random struct{ *rand.ChaCha8 }

func newRandom(seed uint64) random {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return random{rand.NewChaCha8(b)}
}

var testConstants = identity.Constants{
	Limits: identity.Limits{MemoryLimitBytes: 2 << 20, ItemBytesMax: 64 << 10},
	Ticks:  identity.Ticks{TickMs: 10, ElectionTicks: 20},
}

// builder writes the data folder of server 2 of three, as a server would.
type builder struct {
	t    testing.TB
	fs   disk.FS
	id   *identity.Identity
	log  *wal.Log
	seq  uint64
	next uint64 // index
	term uint64
}

func newBuilder(t testing.TB, fs disk.FS, segmentBytes int64) *builder {
	t.Helper()
	id, err := identity.Open(fs, testDir, testServer, newRandom(1))
	must(t, err)
	members := make([]identity.Member, 3)
	for i := range members {
		members[i] = identity.Member{ServerID: i, RaftID: uint64(i) + 1, DirectoryID: identity.DirectoryID{byte(i)}, Host: fmt.Sprintf("10.0.0.%d", i), ClientPort: 11211, LogPort: 11311}
	}
	members[testServer].DirectoryID = id.DirectoryID()
	must(t, id.Form(identity.NewCluster(testConstants, members)))
	b := &builder{t: t, fs: fs, id: id, next: 1, term: 1}
	b.log, err = wal.Open(fs, filepath.Join(testDir, "wal"), wal.Options{
		Bootstrap: &pb.ConfState{Voters: []uint64{1, 2, 3}}, SegmentBytes: segmentBytes,
		Owner: wal.Owner{Directory: id.DirectoryID(), Boot: id.Boot()},
	})
	must(t, err)
	return b
}

// entry appends an entry of operations that this server's clients have sent.
func (b *builder) entry(ops ...engine.Op) {
	b.t.Helper()
	var encoded []byte
	for i := range ops {
		encoded = engine.AppendOp(encoded, &ops[i])
	}
	b.seq++
	b.append(testServer+1, b.seq, len(ops), encoded)
}

// form appends the formation.
func (b *builder) form() {
	b.t.Helper()
	e, err := engine.New(engine.Limits{MemoryBytes: testConstants.MemoryLimitBytes, ItemBytesMax: int(testConstants.ItemBytesMax)})
	must(b.t, err)
	defer e.Close()
	b.append(0, 0, 1, e.Formation())
}

func (b *builder) append(origin, seq uint64, count int, ops []byte) {
	b.t.Helper()
	data := frame.AppendUint(frame.AppendArrayLen(nil, 4), 1)
	data = frame.AppendInt(data, testStampMs+int64(b.next)*1000)
	data = frame.AppendNil(data)
	data = frame.AppendArrayLen(data, 1)
	data = frame.AppendArrayLen(data, 7)
	for _, v := range []uint64{origin, 1, 0, seq, 0, uint64(count)} {
		data = frame.AppendUint(data, v)
	}
	data = frame.AppendBytes(data, ops)
	b.save(&pb.Entry{Index: new(b.next), Term: new(b.term), Data: data})
	b.next++
}

// save writes an entry. The one before it is committed.
func (b *builder) save(e *pb.Entry) {
	b.t.Helper()
	hard := &pb.HardState{Term: new(b.term), Vote: new(uint64(1)), Commit: new(e.GetIndex() - 1)}
	must(b.t, b.log.Save(wal.Write{Entries: []*pb.Entry{e}, HardState: hard, Sync: true}))
}

// sets appends n entries that store an item each, from key k(from) on.
func (b *builder) sets(from, n int) {
	b.t.Helper()
	for i := range n {
		b.entry(engine.Op{Kind: engine.OpSet, Key: fmt.Appendf(nil, "k%d", from+i), Value: fmt.Appendf(nil, "v%d", from+i), Exptime: 3600})
	}
}

// snapshot writes a snapshot of everything so far, and cuts the log there.
func (b *builder) snapshot() {
	b.t.Helper()
	store, err := snapshot.Open(b.fs, filepath.Join(testDir, "snap"), b.snapshotOptions())
	must(b.t, err)
	o, e := b.state(store)
	defer e.Close()
	meta, err := o.Write(snapshots{store})
	must(b.t, err)
	must(b.t, b.log.Compact(meta.GetIndex()))
}

func (b *builder) snapshotOptions() snapshot.Options {
	return snapshot.Options{Owner: snapshot.Owner{Directory: b.id.DirectoryID(), Cluster: b.id.Cluster().ID}}
}

func (b *builder) state(store *snapshot.Store) (*replication.Offline, *engine.Engine) {
	b.t.Helper()
	e, err := engine.New(engine.Limits{MemoryBytes: testConstants.MemoryLimitBytes, ItemBytesMax: int(testConstants.ItemBytesMax)})
	must(b.t, err)
	var formed []replication.Member
	for _, m := range b.id.Cluster().Members {
		formed = append(formed, memberOf(m))
	}
	o := replication.NewOffline(formed, machine{e})
	must(b.t, o.Restore(snapshots{store}, func(_ uint64, err error) { b.t.Error(err) }))
	must(b.t, o.Replay(log{b.log}))
	return o, e
}

// close ends the server that wrote the folder. Its floor is that of a clean stop if
// noted.
func (b *builder) close(noted bool) {
	b.t.Helper()
	if noted {
		must(b.t, b.id.KeepFloor(identity.Floor{Segment: b.log.LastSegment(), Term: b.term, Vote: 1, Index: b.next - 1}, 0))
	}
	must(b.t, b.log.Close())
	must(b.t, b.id.Close())
}

// started is a server's start with a folder, as internal/node does it, and what it has.
type started struct {
	cluster *identity.Cluster
	state   *replication.Offline
	engine  *engine.Engine
	id      *identity.Identity
	log     *wal.Log
}

func start(t testing.TB, fs disk.FS) (*started, error) {
	t.Helper()
	id, err := identity.Open(fs, testDir, testServer, newRandom(77))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = id.Close() })
	c := id.Cluster()
	s := &started{cluster: c, id: id}
	conf := &pb.ConfState{}
	var formed []replication.Member
	for _, m := range c.Members {
		conf.Voters = append(conf.Voters, m.RaftID)
		formed = append(formed, memberOf(m))
	}
	s.log, err = wal.Open(fs, filepath.Join(testDir, "wal"), wal.Options{
		Bootstrap: conf, SegmentBytes: 1 << 10, Owner: wal.Owner{Directory: id.DirectoryID(), Boot: id.Boot()}, Floor: wal.Floor(id.Floor()),
	})
	if err != nil {
		return nil, err
	}
	store, err := snapshot.Open(fs, filepath.Join(testDir, "snap"), snapshot.Options{Owner: snapshot.Owner{Directory: id.DirectoryID(), Cluster: c.ID}})
	if err != nil {
		return nil, err
	}
	s.engine, err = engine.New(engine.Limits{MemoryBytes: c.Constants.MemoryLimitBytes, ItemBytesMax: int(c.Constants.ItemBytesMax)})
	if err != nil {
		return nil, err
	}
	t.Cleanup(s.engine.Close)
	s.state = replication.NewOffline(formed, machine{s.engine})
	if err := s.state.Restore(snapshots{store}, func(_ uint64, err error) { t.Error(err) }); err != nil {
		return nil, err
	}
	return s, s.state.Replay(log{s.log})
}

func (s *started) close(t testing.TB) {
	t.Helper()
	must(t, s.log.Close())
	must(t, s.id.Close())
}

// newFolder builds a folder with a snapshot and entries behind it.
func newFolder(t testing.TB, fs *disktest.FS) {
	t.Helper()
	b := newBuilder(t, fs, 1<<10)
	b.form()
	b.sets(0, 20)
	b.snapshot()
	b.term = 3
	b.entry(engine.Op{Kind: engine.OpMemoryLimit, Delta: 8 << 20})
	b.sets(20, 20)
	b.close(true)
}

const (
	folderItems = 40
	folderIndex = 42 // the formation, a memory limit, and the items
)
