package wal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"

	pb "go.etcd.io/raft/v3/raftpb"
)

// floored opens a log that keeps its floor in *f.
func floored(fs disk.FS, f *Floor) (*Log, error) {
	return Open(fs, "wal", Options{
		Bootstrap: &pb.ConfState{Voters: []uint64{1}}, SegmentBytes: 4 << 10, Floor: *f,
		KeepFloor: func(kept Floor, _ time.Duration) error { *f = kept; return nil },
	})
}

// TestLostLogIsNoticed: a log that has less than its floor is not opened, and the
// error says what is missing. The files are those of other moments.
func TestLostLogIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		copy func(l *Log) // from here on a copy of the files lacks what follows
		want string
	}{
		{"all", nil, "all of its segments are missing"},
		{"a segment", func(l *Log) {
			mustSave(t, l, Write{Entries: entries(1, 11, 200), Sync: true})
			mustSave(t, l, Write{Sync: true})
		}, "its last segment is 1, there was a segment 2"},
		{"entries", func(l *Log) { mustSave(t, l, Write{Entries: entries(1, 11, 12), Sync: true}) }, "it ends with entry 10, there was an entry 12"},
		{"a term", func(l *Log) { mustSave(t, l, Write{HardState: hard(2, 0, 0), Sync: true}) }, "it ends with term 1, there was a term 2"},
		{"a vote", func(l *Log) { mustSave(t, l, Write{HardState: hard(1, 3, 0), Sync: true}) }, "its vote in term 1 is not the one that was given"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := disktest.NewCrashable()
			var floor Floor
			l, err := floored(fs, &floor)
			must(t, err)
			mustSave(t, l, Write{HardState: hard(1, 0, 0), Entries: entries(1, 1, 10), Sync: true})
			older := disktest.NewCrashable()
			if c.copy != nil {
				copyFolder(t, older, fs)
				c.copy(l)
			}
			must(t, l.Close())
			_, err = floored(older, &floor)
			var lost *LostError
			if !errors.As(err, &lost) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("open: %v, want %q", err, c.want)
			}
			l, err = floored(fs, &floor)
			must(t, err)
			must(t, l.Close())
		})
	}
}

func mustSave(t *testing.T, l *Log, w Write) {
	t.Helper()
	must(t, l.Save(w))
}

// copyFolder copies the log's files as they are now.
func copyFolder(t *testing.T, to, from disk.FS) {
	t.Helper()
	must(t, disk.MakeDir(to, "wal"))
	names, err := from.List("wal")
	must(t, err)
	for _, name := range names {
		b, err := disk.ReadFile(from, "wal/"+name)
		must(t, err)
		must(t, disk.WriteFileAtomic(to, "wal/"+name, b))
	}
}

// TestReplacedEntriesLowerTheFloor, durably and before they are gone.
func TestReplacedEntriesLowerTheFloor(t *testing.T) {
	fs := disktest.NewCrashable()
	var floor Floor
	l, err := floored(fs, &floor)
	must(t, err)
	mustSave(t, l, Write{Entries: entries(1, 1, 10), Sync: true})
	mustSave(t, l, Write{HardState: hard(2, 2, 0), Sync: true})
	if want := (Floor{Segment: 1, Term: 2, Vote: 2, Index: 10}); floor != want {
		t.Fatalf("floor is %+v, want %+v", floor, want)
	}
	now := false
	l.options.KeepFloor = func(f Floor, within time.Duration) error { floor, now = f, now || within == 0; return nil }
	mustSave(t, l, Write{Entries: entries(2, 7, 7)})
	if want := (Floor{Segment: 1, Term: 2, Vote: 2, Index: 6}); floor != want || !now {
		t.Fatalf("floor is %+v, durable: %v; want %+v, true", floor, now, want)
	}
	mustSave(t, l, Write{Snapshot: mark(5, 2), Sync: true})
	must(t, l.Close())
	if floor.Index != 5 {
		t.Fatalf("floor is %+v, want index 5", floor)
	}
	l, err = floored(fs, &floor)
	must(t, err)
	must(t, l.Close())
}
