package wal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

var testOptions = Options{
	Bootstrap:      &pb.ConfState{Voters: []uint64{1, 2, 3}},
	SegmentBytes:   600, // a few records
	MemoryBytesMax: 200,
}

func entries(term, first, last uint64) []*pb.Entry {
	var ents []*pb.Entry
	for i := first; i <= last; i++ {
		ents = append(ents, &pb.Entry{Index: new(i), Term: new(term), Data: fmt.Appendf(nil, "entry %d of term %d", i, term)})
	}
	return ents
}

func hard(term, vote, commit uint64) *pb.HardState {
	return &pb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

func mark(index, term uint64) *pb.SnapshotMetadata {
	return &pb.SnapshotMetadata{ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3, 4}}, Index: new(index), Term: new(term)}
}

func open(t testing.TB, fs disk.FS) *Log {
	t.Helper()
	return openWith(t, fs, testOptions)
}

func openWith(t testing.TB, fs disk.FS, o Options) *Log {
	t.Helper()
	l, err := Open(fs, "wal", o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents is all that a log shows, as text.
func contents(t testing.TB, l *Log) string {
	t.Helper()
	hs, conf, err := l.InitialState()
	must(t, err)
	first, err := l.FirstIndex()
	must(t, err)
	last, err := l.LastIndex()
	must(t, err)
	baseTerm, err := l.Term(first - 1)
	must(t, err)
	text := fmt.Sprintf("term %d vote %d commit %d voters %v behind %d/%d:", hs.GetTerm(), hs.GetVote(), hs.GetCommit(), conf.GetVoters(), first-1, baseTerm)
	ents, err := l.Entries(first, last+1, 1<<40)
	must(t, err)
	for _, e := range ents {
		term, err := l.Term(e.GetIndex())
		if err != nil || term != e.GetTerm() {
			t.Fatalf("term of entry %d is %d, %v; want %d", e.GetIndex(), term, err, e.GetTerm())
		}
	}
	return text + describe(ents)
}

// describe is the part of contents that is about entries.
func describe(ents []*pb.Entry) string {
	var text strings.Builder
	for _, e := range ents {
		fmt.Fprintf(&text, " %d/%d %q", e.GetIndex(), e.GetTerm(), e.GetData())
	}
	return text.String()
}

func TestReopenedLogIsTheSame(t *testing.T) {
	fs := disktest.NewCrashable()
	l := open(t, fs)
	for _, step := range []func() error{
		func() error { return nil },
		func() error { return l.Save(Write{HardState: hard(1, 2, 0), Entries: entries(1, 1, 5), Sync: true}) },
		func() error { return l.Save(Write{HardState: hard(2, 0, 3), Entries: entries(2, 4, 30), Sync: true}) },
		func() error { return l.Save(Write{HardState: hard(2, 0, 20), Sync: true}) },
		func() error { return l.Compact(10) },
		func() error { return l.Compact(20) },
		func() error { return l.Save(Write{HardState: hard(3, 0, 20), Entries: entries(3, 25, 26), Sync: true}) },
		func() error { return l.Save(Write{HardState: hard(4, 0, 3), Snapshot: mark(100, 4), Sync: true}) },
		func() error { return l.Save(Write{Entries: entries(4, 101, 140), Sync: true}) },
		func() error { return l.Compact(139) },
	} {
		must(t, step())
		want := contents(t, l)
		must(t, l.Close())
		l = open(t, fs)
		if got := contents(t, l); got != want {
			t.Fatalf("reopened:\n%s\nwant\n%s", got, want)
		}
	}
	names, err := fs.List("wal")
	must(t, err)
	if len(names) > 4 {
		t.Fatalf("segments that are not needed stay: %q", names)
	}
}

// TestReplacedBehindRemovedSegments: a later segment replaces an entry of an
// earlier one, which is then removed: what is left begins in the middle, and
// then goes back.
func TestReplacedBehindRemovedSegments(t *testing.T) {
	fs := disktest.NewCrashable()
	l := open(t, fs)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 14), Sync: true})) // fills the segment
	must(t, l.Save(Write{Entries: entries(1, 15, 16), Sync: true}))
	must(t, l.Save(Write{HardState: hard(2, 1, 0), Entries: entries(2, 13, 17), Sync: true}))
	must(t, l.Compact(14))
	want := contents(t, l)
	must(t, l.Close())
	if names, err := fs.List("wal"); err != nil || names[0] == "0000000000000001.wal" {
		t.Fatalf("the first segment is still there: %q, %v", names, err)
	}
	if got := contents(t, open(t, fs)); got != want {
		t.Fatalf("reopened:\n%s\nwant\n%s", got, want)
	}
}

func TestStorageErrors(t *testing.T) {
	l := open(t, disktest.NewCrashable())
	must(t, l.Save(Write{Entries: entries(1, 1, 20), Sync: true}))
	must(t, l.Compact(10))
	for _, c := range []struct {
		name string
		call func() error
		want error
	}{
		{"entry at the beginning", func() error { _, err := l.Entries(10, 12, 1); return err }, raft.ErrCompacted},
		{"entry behind the last", func() error { _, err := l.Entries(15, 22, 1); return err }, raft.ErrUnavailable},
		{"term before the beginning", func() error { _, err := l.Term(9); return err }, raft.ErrCompacted},
		{"term at the beginning", func() error { _, err := l.Term(10); return err }, nil},
		{"term behind the last", func() error { _, err := l.Term(21); return err }, raft.ErrUnavailable},
	} {
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	ents, err := l.Entries(11, 21, 1)
	if must(t, err); len(ents) != 1 {
		t.Fatalf("%d entries within one byte, want 1", len(ents))
	}
}

// TestEveryBitFlip flips each bit of a log in turn: recovery finds everything or
// says that the log is damaged.
func TestEveryBitFlip(t *testing.T) {
	fs := disk.OS()
	dir := t.TempDir()
	l, err := Open(fs, dir, Options{Bootstrap: testOptions.Bootstrap, SegmentBytes: 1 << 10})
	must(t, err)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 6), Sync: true}))
	must(t, l.Save(Write{HardState: hard(1, 1, 6), Sync: true}))
	want := contents(t, l)
	seg := l.segments[len(l.segments)-1]
	end := int(seg.size)
	must(t, l.Close())
	name := segmentName(dir, seg.seq)
	good, err := disk.ReadFile(fs, name)
	must(t, err)
	for bit := range 8 * end {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		mem := disktest.NewCrashable()
		must(t, mem.MkdirAll("wal"))
		must(t, disk.WriteFileAtomic(mem, "wal/"+filepath.Base(name), bad))
		r, err := Open(mem, "wal", testOptions)
		var corrupt *CorruptError
		if err == nil {
			if got := contents(t, r); got != want {
				t.Fatalf("bit %d flipped: recovered %s", bit, got)
			}
		} else if !errors.As(err, &corrupt) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
}

// TestShortenedSegment cuts a segment that others follow, between two records.
func TestShortenedSegment(t *testing.T) {
	fs := disktest.NewCrashable()
	l := open(t, fs)
	for i := range uint64(12) {
		must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, i+1, i+1), Sync: true}))
	}
	must(t, l.Save(Write{HardState: hard(2, 1, 0), Entries: entries(2, 10, 12), Sync: true})) // replaces what the cut loses
	name := segmentName("wal", l.segments[0].seq)
	b, err := disk.ReadFile(fs, name)
	must(t, err)
	b = b[:l.segments[0].size] // without what was reserved
	last := findRecord(b, len(b)-60, l.segments[0].seq)
	must(t, disk.WriteFileAtomic(fs, name, b[:last]))
	_, err = Open(fs, "wal", testOptions)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("opened with %v", err)
	}
}

func TestEntriesThatDoNotFitAreRefused(t *testing.T) {
	for _, ents := range [][]*pb.Entry{entries(1, 7, 8), {entries(1, 6, 6)[0], entries(1, 8, 8)[0]}, entries(1, 2, 3)} {
		fs := disktest.NewCrashable()
		l := open(t, fs)
		must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 5), Sync: true}))
		must(t, l.Compact(2))
		want := contents(t, l)
		if err := l.Save(Write{Entries: ents, Sync: true}); err == nil {
			t.Fatalf("entries from %d were saved behind 5", ents[0].GetIndex())
		}
		if got := contents(t, open(t, fs)); got != want {
			t.Fatalf("reopened: %s", got)
		}
	}
}

// TestLostTailOfCommittedEntries: entries that the hard state says are committed
// are missing at the end.
func TestLostTailOfCommittedEntries(t *testing.T) {
	fs := disktest.NewCrashable()
	l := open(t, fs)
	must(t, l.Save(Write{HardState: hard(1, 1, 6), Sync: true})) // as if the entries had vanished
	_, err := Open(fs, "wal", testOptions)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("opened with %v", err)
	}
}

func TestMissingSegment(t *testing.T) {
	fs := disktest.NewCrashable()
	l := open(t, fs)
	for i := range uint64(20) {
		must(t, l.Save(Write{Entries: entries(1, 5*i+1, 5*i+5), Sync: true}))
	}
	must(t, fs.Remove(segmentName("wal", l.segments[2].seq)))
	_, err := Open(fs, "wal", testOptions)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("opened with %v", err)
	}
}

// TestRealDisk does on the real file system what the others do in memory.
func TestRealDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	var want string
	for round := range uint64(4) {
		l, err := Open(disk.OS(), dir, Options{Bootstrap: testOptions.Bootstrap})
		must(t, err)
		if round > 0 && contents(t, l) != want {
			t.Fatalf("round %d: recovered %s, want %s", round, contents(t, l), want)
		}
		must(t, l.Save(Write{HardState: hard(round, 1, 10*round), Entries: entries(round, 10*round+1, 10*round+10), Sync: true}))
		want = contents(t, l)
		must(t, l.Close())
	}
}

// FuzzSegmentRecover opens a log whose only segment holds any bytes: it opens or
// says what is wrong, and when opened can be opened again.
func FuzzSegmentRecover(f *testing.F) {
	fs := disktest.NewCrashable()
	l, err := Open(fs, "wal", testOptions)
	must(f, err)
	must(f, l.Save(Write{HardState: hard(1, 1, 1), Entries: entries(1, 1, 2), Sync: true}))
	good, err := disk.ReadFile(fs, segmentName("wal", 1))
	must(f, err)
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := disktest.NewCrashable()
		must(t, fs.MkdirAll("wal"))
		must(t, disk.WriteFileAtomic(fs, segmentName("wal", 1), b))
		l, err := Open(fs, "wal", testOptions)
		if err != nil {
			return
		}
		want := contents(t, l)
		if got := contents(t, open(t, fs)); got != want {
			t.Fatalf("opened again: %s, first %s", got, want)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	l, err := Open(disk.OS(), filepath.Join(b.TempDir(), "wal"), Options{Bootstrap: testOptions.Bootstrap})
	must(b, err)
	defer func() { must(b, l.Close()) }()
	data := make([]byte, 16<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	index := uint64(0)
	for b.Loop() {
		index++
		must(b, l.Save(Write{Entries: []*pb.Entry{{Index: new(index), Term: new(uint64(1)), Data: data}}, Sync: true}))
	}
}
