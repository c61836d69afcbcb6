package offline

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/identity"
)

var self = identity.Member{Host: "10.0.0.2", ClientPort: 11211, LogPort: 11311}

// recoverFolder does what the command does.
func recoverFolder(fs disk.FS, force bool, seed uint64) (err error) {
	f, err := Open(fs, testDir, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Unfinished() {
		return f.Finish()
	}
	if err := f.Refuse(force); err != nil {
		return err
	}
	_, err = f.Recover(self, newRandom(seed))
	return err
}

func TestRecover(t *testing.T) {
	fs := disktest.NewCrashable()
	newFolder(t, fs)
	f, err := Open(fs, testDir, Options{})
	must(t, err)
	if f.Index != folderIndex || f.Term != 3 || f.Commit != folderIndex-1 || f.Snapshot != 21 || f.Items != folderItems || len(f.Damage) > 0 || f.Lost != folderIndex {
		t.Errorf("found %+v", f.Findings)
	}
	if want := int64(testStampMs + folderIndex*1000); f.Time.UnixMilli() != want {
		t.Errorf("the last entry is of %v, want %d ms", f.Time, want)
	}
	must(t, f.Refuse(false))
	before := f.Findings
	_, order := f.engine.Digest()
	cluster, err := f.Recover(self, newRandom(9))
	must(t, err)
	must(t, f.Close())

	s, err := start(t, fs)
	must(t, err)
	index, term := s.state.Position()
	m := s.state.Members()
	switch {
	case s.cluster.ID != cluster || cluster == before.Cluster:
		t.Errorf("cluster %x, was told %x, was %x", s.cluster.ID, cluster, before.Cluster)
	case index != folderIndex || term != 4:
		t.Errorf("the state is of entry %d, term %d", index, term)
	case len(m.Members) != 1 || m.Version != 0 || m.Members[0].RaftID != 4 || m.Members[0].Directory == [16]byte(before.Directory) || !slices.Equal(m.Conf.GetVoters(), []uint64{4}):
		t.Errorf("members are %+v", m)
	case s.engine.Stats().CurrItems != folderItems || s.engine.Stats().LimitMaxBytes != 8<<20:
		t.Errorf("the engine has %+v", s.engine.Stats())
	case s.state.StampMs() != before.Time.UnixMilli() || s.engine.TimeMs() != before.Time.UnixMilli():
		t.Errorf("time is %d", s.state.StampMs())
	case orderOf(s) != order:
		t.Error("the order of the items differs")
	case s.engine.Formation() != nil:
		t.Error("the state is not formed")
	}
	s.close(t)

	// Its server is the only one now.
	for _, force := range []bool{false, true} {
		if err := recoverFolder(fs, force, 10); err == nil || !strings.Contains(err.Error(), "it was recovered already") {
			t.Errorf("recovered again: %v", err)
		}
	}
}

// TestRecoverThroughCrashes ends the recovery at every write and sync. Until the identity
// is replaced the folder is what it was, and a server starts with it. Then none starts
// before the recovery was finished. Nothing is ever missing.
func TestRecoverThroughCrashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	old, unfinished, done := 0, 0, 0
	for at := 1; done == 0; at++ {
		fs := disktest.NewCrashable()
		newFolder(t, fs)
		fs.FailIn = at
		err := recoverFolder(fs, false, 5)
		if !fs.Failed() {
			must(t, err)
			done++
		}
		// It is interrupted again and again, and in the end it is not.
		fs = disktest.Crash(fs, rng)
		for again := at % 3; again > 0; again = again * 3 / 4 {
			fs.FailIn = 1 + rng.IntN(again*4)
			_ = recoverFolder(fs, false, 5+uint64(at))
			fs = disktest.Crash(fs, rng)
		}
		switch s, err := start(t, disktest.Crash(fs, rand.New(rand.NewPCG(3, 3)))); {
		case errors.Is(err, identity.ErrUnfinished):
			unfinished++
		case err != nil:
			t.Fatalf("at %d: start: %v", at, err)
		default:
			if len(s.cluster.Members) == 3 {
				old++
			}
			if n := s.engine.Stats().CurrItems; n != folderItems {
				t.Fatalf("at %d: a server starts with %d items", at, n)
			}
		}
		if err := recoverFolder(fs, false, 6); err != nil && !strings.Contains(err.Error(), "recovered already") {
			t.Fatalf("at %d: repeated: %v", at, err)
		}
		s, err := start(t, fs)
		if err != nil {
			t.Fatalf("at %d: start of the recovered: %v", at, err)
		}
		if n := s.engine.Stats().CurrItems; n != folderItems || len(s.cluster.Members) != 1 {
			t.Fatalf("at %d: %d items, %d members", at, n, len(s.cluster.Members))
		}
		for _, sub := range []string{"wal", "snap"} {
			names, err := fs.List(testDir + "/" + sub)
			must(t, err)
			if len(names) > 2 { // the start has begun a segment
				t.Errorf("at %d: %s has %q", at, sub, names)
			}
		}
	}
	if old == 0 || unfinished == 0 {
		t.Errorf("%d old folders, %d unfinished ones", old, unfinished)
	}
}

func orderOf(s *started) uint64 {
	_, order := s.engine.Digest()
	return order
}
