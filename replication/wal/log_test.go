package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
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
		text += fmt.Sprintf(" %d/%d %q", e.GetIndex(), e.GetTerm(), e.GetData())
	}
	return text
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

// TestCrashAnywhere lets each write and sync fail in turn, crashes, and recovers:
// what Save confirmed with a sync is there, and nothing that was never saved.
func TestCrashAnywhere(t *testing.T) {
	for failIn := 1; failIn < 120; failIn++ {
		fs := disktest.NewCrashable()
		l := open(t, fs)
		fs.FailIn = failIn
		confirmed, attempted := contents(t, l), ""
		rng := rand.New(rand.NewPCG(uint64(failIn), 0))
		var last, term uint64 = 0, 1
		for range 40 {
			w := randomWrite(rng, &last, &term, l)
			err := l.Save(w)
			if err != nil {
				attempted = describe(w)
				if again := l.Save(Write{Sync: true}); again == nil {
					t.Fatal("a log went on after a failed write")
				}
				break
			}
			confirmed = contents(t, l)
		}
		r := open(t, disktest.Crash(fs, rng))
		if got := contents(t, r); got != confirmed && attempted == "" {
			t.Fatalf("fault %d: recovered\n%s\nconfirmed was\n%s", failIn, got, confirmed)
		} else if got != confirmed {
			checkBetween(t, failIn, got, confirmed, attempted)
		}
		must(t, r.Save(Write{HardState: hard(1000, 0, 0), Sync: true})) // and it goes on
	}
}

func randomWrite(rng *rand.Rand, last, term *uint64, l *Log) Write {
	if rng.IntN(4) == 0 {
		*term++
	}
	first := *last + 1
	if *last > 0 && rng.IntN(3) == 0 {
		first = *last // replaces one
	}
	*last = first + rng.Uint64N(6)
	w := Write{HardState: hard(*term, 1, 0), Entries: entries(*term, first, *last), Sync: true}
	return w
}

func describe(w Write) string { return fmt.Sprintf("%d/", w.Entries[0].GetIndex()) }

// tail returns the entries of what contents returned.
func tail(s string) string { return s[strings.IndexByte(s, ':'):] }

// checkBetween accepts a part of the write that failed: its entries up to any
// one of them, on top of what was confirmed.
func checkBetween(t *testing.T, failIn int, got, confirmed, firstAttempted string) {
	t.Helper()
	g, c := tail(got), tail(confirmed)
	cut := bytes.Index([]byte(c), []byte(" "+firstAttempted))
	if cut < 0 {
		cut = len(c)
	}
	if len(g) < cut || g[:cut] != c[:cut] {
		t.Fatalf("fault %d: recovered\n%s\nconfirmed was\n%s", failIn, got, confirmed)
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

// TestSectorsOfOneWriteComeInAnyOrder loses each set of sectors of the last
// write that a power failure could lose: what was synced before is there, and
// the log opens.
func TestSectorsOfOneWriteComeInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(disk.OS(), dir, Options{Bootstrap: testOptions.Bootstrap})
	must(t, err)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 3), Sync: true}))
	before := int(l.segments[0].size)
	want := contents(t, l)
	must(t, l.Save(Write{HardState: hard(1, 1, 3), Entries: entries(1, 4, 40), Sync: true}))
	after := int(l.segments[0].size)
	full := contents(t, l)
	must(t, l.Close())
	good, err := disk.ReadFile(disk.OS(), segmentName(dir, 1))
	must(t, err)
	good = good[:after+2*sectorBytes] // as preallocated
	firstSector, sectors := before/sectorBytes, (after-1)/sectorBytes-before/sectorBytes+1
	if sectors < 4 {
		t.Fatalf("the write takes only %d sectors", sectors)
	}
	for lost := range 1 << sectors {
		b := bytes.Clone(good)
		for i := range sectors {
			if lost&(1<<i) != 0 {
				from := max(before, (firstSector+i)*sectorBytes)
				clear(b[from:min(after, (firstSector+i+1)*sectorBytes)])
			}
		}
		fs := disktest.NewCrashable()
		must(t, fs.MkdirAll("wal"))
		must(t, disk.WriteFileAtomic(fs, segmentName("wal", 1), b))
		if lost&1 != 0 { // half of them: as if the next one had been made ready
			must(t, disk.WriteFileAtomic(fs, segmentName("wal", 2), make([]byte, 2*sectorBytes)))
		}
		r, err := Open(fs, "wal", testOptions)
		if err != nil {
			t.Fatalf("sectors %b lost: %v", lost, err)
		}
		got := contents(t, r)
		if lost == 0 && got != full || tail(got)[:len(tail(want))] != tail(want) {
			t.Fatalf("sectors %b lost: recovered %s", lost, got)
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
