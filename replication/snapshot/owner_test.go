package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"

	"google.golang.org/protobuf/proto"
)

const snapshot9 = "snap/0000000000000009-0000000000000003.snap"

func owner(directory byte, cluster uint64) Options {
	return Options{Owner: Owner{Directory: [16]byte{directory}, Cluster: cluster}}
}

// ownedFiles returns a folder with a snapshot at index 9.
func ownedFiles(t *testing.T, o Options) (*disktest.FS, *Store) {
	t.Helper()
	fs := disktest.NewCrashable()
	s, err := Open(fs, "snap", o)
	must(t, err)
	write(t, s, 9, []byte("contents"))
	return fs, s
}

// TestForeignSnapshotsAreNoticed, unless a peer has sent them: then they are this
// folder's. Those of another cluster are not received.
func TestForeignSnapshotsAreNoticed(t *testing.T) {
	fs, s := ownedFiles(t, owner(1, 7))
	_, err := Open(fs, "snap", owner(2, 7))
	var foreign *ForeignError
	if !errors.As(err, &foreign) || !strings.Contains(err.Error(), snapshot9+"\" does not belong to this data folder: data folder 01") {
		t.Fatalf("open: %v", err)
	}
	sent := raw(t, s, 9)
	for _, cluster := range []uint64{7, 8} {
		fs := disktest.NewCrashable()
		to, err := Open(fs, "snap", owner(2, cluster))
		must(t, err)
		_, err = to.Receive(bytes.NewReader(sent), int64(len(sent)))
		if cluster == 8 {
			if err == nil || !strings.Contains(err.Error(), "of another cluster") {
				t.Fatalf("received what another cluster wrote: %v", err)
			}
			continue
		}
		must(t, err)
		to, err = Open(fs, "snap", owner(2, cluster))
		must(t, err)
		if got, err := read(to, 9); err != nil || string(got) != "contents" {
			t.Fatalf("received %q, %v", got, err)
		}
	}
}

// toVersion1 makes the snapshot what version 1 wrote: a head without an owner.
func toVersion1(t *testing.T, fs disk.FS) []byte {
	t.Helper()
	b, err := disk.ReadFile(fs, snapshot9)
	must(t, err)
	h, err := readAnyHead(start{bytes.NewReader(b)})
	must(t, err)
	encoded, err := proto.Marshal(h.meta)
	must(t, err)
	out := append(binary.LittleEndian.AppendUint32([]byte(magic1), uint32(len(encoded))), encoded...)
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	out = append(out, b[h.bytes:]...)
	must(t, disk.WriteFileAtomic(fs, snapshot9, out))
	return out
}

// TestVersion1IsRead in a folder that was upgraded, and received from a peer.
func TestVersion1IsRead(t *testing.T) {
	fs, _ := ownedFiles(t, owner(1, 7))
	sent := toVersion1(t, fs)
	for _, c := range []struct {
		unowned uint64
		ok      bool
	}{{8, false}, {9, true}, {math.MaxUint64, true}} {
		o := owner(1, 7)
		o.Unowned = c.unowned
		s, err := Open(fs, "snap", o)
		if (err == nil) != c.ok {
			t.Fatalf("unowned up to %d: %v", c.unowned, err)
		}
		if err == nil {
			if got, err := read(s, 9); err != nil || string(got) != "contents" || s.Unowned() != 9 {
				t.Fatalf("read %q, %v, unowned up to %d", got, err, s.Unowned())
			}
		}
	}
	to := open(t, disktest.NewCrashable())
	_, err := to.Receive(bytes.NewReader(sent), int64(len(sent)))
	must(t, err)
	to = open(t, to.fs)
	if got, err := read(to, 9); err != nil || string(got) != "contents" || to.Unowned() != 0 {
		t.Fatalf("received %q, %v, unowned up to %d", got, err, to.Unowned())
	}
}

// TestDamagedSnapshotIsNotSent: its bytes are checked before the reader gets them.
func TestDamagedSnapshotIsNotSent(t *testing.T) {
	fs, s := ownedFiles(t, owner(1, 7))
	write(t, s, 9, bytes.Repeat([]byte("contents"), 100_000))
	good := raw(t, s, 9)
	for at := 0; at < len(good); at += 1 + len(good)/60 {
		bad := bytes.Clone(good)
		bad[at] ^= 4
		must(t, disk.WriteFileAtomic(fs, snapshot9, bad))
		rc, _, err := s.Raw(9, 3)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(rc)
			must(t, rc.Close())
		}
		if !errors.Is(err, ErrCorrupt) || len(got) > at {
			t.Fatalf("byte %d damaged: %d bytes, %v", at, len(got), err)
		}
	}
	mustBeSetAside(t, s, true)
	must(t, disk.WriteFileAtomic(fs, snapshot9, good))
	mustBeSetAside(t, s, false)
	write(t, s, 8, []byte("another one"))
	must(t, fs.Rename(strings.Replace(snapshot9, "9-", "8-", 1), snapshot9))
	mustBeSetAside(t, s, true)
	must(t, s.Prune(0))
	if names, err := fs.List("snap"); err != nil || len(names) > 0 {
		t.Fatalf("files %q remain, %v", names, err)
	}
}

// mustBeSetAside checks the snapshot, and whether it is then no snapshot any more.
func mustBeSetAside(t *testing.T, s *Store, want bool) {
	t.Helper()
	damaged, err := s.SetAside(9, 3)
	must(t, err)
	list, err := s.List()
	must(t, err)
	if damaged != want || (len(list) == 0) != want {
		t.Fatalf("damaged: %v, want %v; there are %d snapshots", damaged, want, len(list))
	}
}
