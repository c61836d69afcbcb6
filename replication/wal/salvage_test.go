package wal

import (
	"errors"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestSalvageStopsWhereTheTermChanges: after damage an entry of a later term may follow
// others than those that are readable.
func TestSalvageStopsWhereTheTermChanges(t *testing.T) {
	for _, tt := range []struct {
		name       string
		after      *pb.Entry // the one after the damaged record
		base, last uint64
	}{
		{"the same term", &pb.Entry{Index: new(uint64(4)), Term: new(uint64(1))}, 0, 4},
		{"a later term", &pb.Entry{Index: new(uint64(4)), Term: new(uint64(2))}, 0, 3},
		{"a later term, and the snapshot has it", &pb.Entry{Index: new(uint64(4)), Term: new(uint64(2))}, 3, 4},
		{"a gap", &pb.Entry{Index: new(uint64(5)), Term: new(uint64(1))}, 0, 3},
		{"a gap that the snapshot fills", &pb.Entry{Index: new(uint64(5)), Term: new(uint64(1))}, 4, 5},
		{"it replaces an entry", &pb.Entry{Index: new(uint64(2)), Term: new(uint64(2))}, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := disktest.NewCrashable()
			l, err := Open(fs, "wal", Options{Bootstrap: &pb.ConfState{Voters: []uint64{1}}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(3) {
				save(t, l, &pb.Entry{Index: new(i + 1), Term: new(uint64(1))})
			}
			at := l.SizeBytes()
			if err := l.Save(Write{HardState: &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(1)), Commit: new(uint64(0))}, Sync: true}); err != nil {
				t.Fatal(err)
			}
			if tt.after.GetIndex() == 5 { // as if 4 had been replaced by damage
				l.index.add(entryHead{index: 4, term: 1}, place{})
			}
			save(t, l, tt.after)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			name := segmentName("wal", 1)
			b, err := disk.ReadFile(fs, name)
			if err != nil {
				t.Fatal(err)
			}
			b[at+2] ^= 1
			if err := disk.WriteFileAtomic(fs, name, b); err != nil {
				t.Fatal(err)
			}

			damage := 0
			s := &Salvage{Base: tt.base, Damaged: func(error) { damage++ }}
			l, err = Open(fs, "wal", Options{Bootstrap: &pb.ConfState{Voters: []uint64{1}}, Salvage: s})
			if err != nil {
				t.Fatal(err)
			}
			if last, _ := l.LastIndex(); last != tt.last || damage != 1 || s.Seen < tt.after.GetIndex() {
				t.Errorf("the log ends with entry %d, want %d; seen %d, %d times damaged", last, tt.last, s.Seen, damage)
			}
			if err := l.Save(Write{}); !errors.Is(err, errSalvaged) {
				t.Errorf("save: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func save(t *testing.T, l *Log, e *pb.Entry) {
	t.Helper()
	if err := l.Save(Write{Entries: []*pb.Entry{e}, Sync: true}); err != nil {
		t.Fatal(err)
	}
}
