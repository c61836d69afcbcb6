package snapshot

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"

	pb "go.etcd.io/raft/v3/raftpb"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func meta(index uint64) *pb.SnapshotMetadata {
	return &pb.SnapshotMetadata{ConfState: &pb.ConfState{Voters: []uint64{1, 2}}, Index: new(index), Term: new(uint64(3))}
}

func open(t testing.TB, fs disk.FS) *Store {
	t.Helper()
	s, err := Open(fs, "snap", Options{})
	must(t, err)
	return s
}

func write(t testing.TB, s *Store, index uint64, contents []byte) {
	t.Helper()
	w, err := s.Create(meta(index))
	must(t, err)
	_, err = w.Write(contents)
	must(t, err)
	must(t, w.Commit())
}

func read(s *Store, index uint64) ([]byte, error) {
	r, err := s.Open(index, 3)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func raw(t testing.TB, s *Store, index uint64) []byte {
	t.Helper()
	rc, size, err := s.Raw(index, 3)
	must(t, err)
	b, err := io.ReadAll(rc)
	must(t, errors.Join(err, rc.Close()))
	if int64(len(b)) != size {
		t.Fatalf("%d bytes, size said %d", len(b), size)
	}
	return b
}

func TestSnapshotsAreListedReadAndPruned(t *testing.T) {
	fs := disktest.NewCrashable()
	s := open(t, fs)
	for _, index := range []uint64{5, 300, 70} {
		write(t, s, index, bytes.Repeat([]byte{byte(index)}, int(index)*3000))
	}
	must(t, s.Prune(70))
	s = open(t, fs)
	list, err := s.List()
	must(t, err)
	if len(list) != 2 || list[0].GetIndex() != 300 || list[1].GetIndex() != 70 || len(list[0].GetConfState().GetVoters()) != 2 {
		t.Fatalf("list is %v", list)
	}
	got, err := read(s, 300)
	if must(t, err); !bytes.Equal(got, bytes.Repeat([]byte{44}, 900_000)) {
		t.Fatalf("read %d bytes", len(got))
	}
}

func TestReceive(t *testing.T) {
	from, to := open(t, disktest.NewCrashable()), open(t, disktest.NewCrashable())
	write(t, from, 9, []byte("contents"))
	file := raw(t, from, 9)
	m, err := to.Receive(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	if got, err := read(to, 9); err != nil || string(got) != "contents" || m.GetIndex() != 9 {
		t.Fatalf("received %q of index %d, %v", got, m.GetIndex(), err)
	}
}

// TestDamageIsFound flips each bit and cuts at each byte: neither Receive nor
// Open passes on what was not written.
func TestDamageIsFound(t *testing.T) {
	s := open(t, disktest.NewCrashable())
	write(t, s, 9, bytes.Repeat([]byte("contents"), 20))
	good := raw(t, s, 9)
	to := open(t, disktest.NewCrashable())
	check := func(what string, at int, bad []byte) {
		if _, err := to.Receive(bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Fatalf("%s at %d: received", what, at)
		}
	}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		check("bit flipped", bit, bad)
	}
	for cut := range good {
		check("cut", cut, good[:cut])
	}
	check("longer", len(good), append(bytes.Clone(good), 0))
	if _, err := to.Receive(bytes.NewReader(good), int64(len(good))+1); err == nil {
		t.Fatal("received fewer bytes than announced")
	}
	names, err := to.fs.List("snap")
	if must(t, err); len(names) != 0 {
		t.Fatalf("refused files stay: %q", names)
	}
}

// TestCrashAnywhere lets each write and sync fail, and crashes: a snapshot that
// was committed is there, and none is there in part.
func TestCrashAnywhere(t *testing.T) {
	contents := bytes.Repeat([]byte("contents"), 100_000)
	for failIn := 1; failIn < 20; failIn++ {
		fs := disktest.NewCrashable()
		s := open(t, fs)
		fs.FailIn = failIn
		w, err := s.Create(meta(9))
		if err == nil {
			if _, err = w.Write(contents); err == nil {
				err = w.Commit()
			}
		}
		s = open(t, disktest.Crash(fs, rand.New(rand.NewPCG(uint64(failIn), 0))))
		list, listErr := s.List()
		must(t, listErr)
		if err == nil && len(list) != 1 {
			t.Fatalf("fault %d: committed, and lost in the crash", failIn)
		}
		if len(list) == 1 {
			if got, err := read(s, 9); err != nil || !bytes.Equal(got, contents) {
				t.Fatalf("fault %d: a snapshot of %d bytes, %v", failIn, len(got), err)
			}
		}
	}
}

// FuzzReceive takes any bytes for a snapshot's file.
func FuzzReceive(f *testing.F) {
	s := open(f, disktest.NewCrashable())
	write(f, s, 9, []byte("contents"))
	f.Add(raw(f, s, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		to := open(t, disktest.NewCrashable())
		m, err := to.Receive(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		rc, err := to.Open(m.GetIndex(), m.GetTerm())
		must(t, err)
		_, err = io.Copy(io.Discard, rc)
		must(t, errors.Join(err, rc.Close()))
	})
}

// TestLongSnapshot reads one of several pieces, whose chunks stand across their
// ends, from the disk.
func TestLongSnapshot(t *testing.T) {
	s, err := Open(disk.OS(), t.TempDir(), Options{})
	must(t, err)
	want := make([]byte, 3*pieceBytes+12345)
	for i := range want {
		want[i] = byte(i * i >> 8)
	}
	write(t, s, 1, want)
	got, err := read(s, 1)
	if must(t, err); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, or others, of %d", len(got), len(want))
	}
}

// TestNewest: a store remembers its newest snapshot, whatever becomes of it, and reads
// nothing to tell it.
func TestNewest(t *testing.T) {
	fs := disktest.NewCrashable()
	s := open(t, fs)
	want := func(what string, index uint64) {
		t.Helper()
		list, err := s.List()
		must(t, err)
		switch newest := s.Newest(); {
		case index == 0 && (newest != nil || len(list) != 0), index != 0 && (len(list) == 0 || newest.GetIndex() != index || list[0].GetIndex() != index):
			t.Errorf("%s: the newest is %v, of %v, want index %d", what, newest, list, index)
		}
	}
	want("an empty folder", 0)
	for _, index := range []uint64{3, 7, 5} {
		write(t, s, index, []byte("contents"))
	}
	want("an older one came last", 7)
	s = open(t, fs)
	want("opened again", 7)
	must(t, s.Prune(5))
	want("older ones are removed", 7)
	bad := raw(t, s, 7)
	bad[len(bad)-1] ^= 4
	must(t, disk.WriteFileAtomic(fs, s.name(7, 3), bad))
	if damaged, err := s.SetAside(7, 3); !damaged || err != nil {
		t.Fatalf("set aside: %v, %v", damaged, err)
	}
	want("the newest is damaged", 5)
	other := open(t, disktest.NewCrashable())
	file := raw(t, s, 5)
	_, err := other.Receive(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	if other.Newest().GetIndex() != 5 {
		t.Errorf("a received one is not the newest: %v", other.Newest())
	}
	must(t, s.Prune(6))
	want("all are removed", 0)
}
