package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// owned opens a log of a data folder that is named by one byte, in one of its starts.
func owned(fs disk.FS, directory byte, boot, unowned uint64) (*Log, error) {
	return Open(fs, "wal", Options{Owner: Owner{Directory: [16]byte{directory}, Boot: boot}, Unowned: unowned, SegmentBytes: 4 << 10})
}

// ownedFiles returns the files of a log of three starts.
func ownedFiles(t *testing.T, directory byte) *disktest.FS {
	t.Helper()
	fs := disktest.NewCrashable()
	for boot := range uint64(3) {
		l, err := owned(fs, directory, boot+1, 0)
		must(t, err)
		mustSave(t, l, Write{HardState: hard(1, 0, 0), Entries: entries(1, 10*boot+1, 10*boot+10), Sync: true})
		must(t, l.Close())
	}
	return fs
}

func copyFile(t *testing.T, to, from disk.FS, name, as string) {
	t.Helper()
	b, err := disk.ReadFile(from, "wal/"+name+".wal")
	must(t, err)
	must(t, disk.WriteFileAtomic(to, "wal/"+as+".wal", b))
}

// TestForeignSegmentsAreNoticed: another folder's log, or one segment of it, and a log
// that is newer than the identity.
func TestForeignSegmentsAreNoticed(t *testing.T) {
	const first, second, third = "0000000000000001", "0000000000000002", "0000000000000003"
	for _, c := range []struct {
		name string
		harm func(t *testing.T, fs disk.FS)
		boot uint64
		want string
	}{
		{"whole log", func(t *testing.T, fs disk.FS) { copyFolder(t, fs, ownedFiles(t, 2)) }, 4, "000001.wal\" does not belong to this data folder: data folder 02000000"},
		{"one segment", func(t *testing.T, fs disk.FS) { copyFile(t, fs, ownedFiles(t, 2), second, second) }, 4, "000002.wal\" does not belong"},
		{"last segment", func(t *testing.T, fs disk.FS) { copyFile(t, fs, ownedFiles(t, 2), third, third) }, 4, "000003.wal\" does not belong"},
		{"older identity", func(*testing.T, disk.FS) {}, 3, "it was written in a start 3 that this folder, in start 3, has not had: the identity is older"},
		{"duplicate", func(t *testing.T, fs disk.FS) { copyFile(t, fs, fs, second, "0000000000000004") }, 4, "it is segment 2 under another name"},
		{"older version", func(t *testing.T, fs disk.FS) { toVersion1(t, fs, second) }, 4, "it is of an older version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := ownedFiles(t, 1)
			c.harm(t, fs)
			_, err := owned(fs, 1, c.boot, 0)
			var foreign *ForeignError
			var corrupt *CorruptError
			if !errors.As(err, &foreign) && !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("open: %v, want %q", err, c.want)
			}
		})
	}
}

// toVersion1 makes a segment what version 1 wrote: a header without an owner.
func toVersion1(t *testing.T, fs disk.FS, name string) {
	t.Helper()
	b, err := disk.ReadFile(fs, "wal/"+name+".wal")
	must(t, err)
	h, _, ok := readSegmentHeader(b)
	if !ok {
		t.Fatalf("segment %s has no header", name)
	}
	out := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte(segmentMagic1), h.seq), uint64(h.before))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	for at := segmentHeaderBytes; at < len(b); {
		rec, ok := readRecord(b[at:], h.seq, int64(at))
		if !ok {
			break
		}
		start := len(out)
		out = append(beginRecord(out), rec.payload...)
		finishRecord(out[start:], rec.kind, h.seq, int64(start), 0)
		at += len(out) - start
	}
	must(t, disk.WriteFileAtomic(fs, "wal/"+name+".wal", out))
}

// TestOtherStartIsNoticed: the number of the start tells nothing, because an older copy of
// the identity has been started again meanwhile. Its incarnation does.
func TestOtherStartIsNoticed(t *testing.T) {
	for _, c := range []struct {
		earlier []uint64
		ok      bool
	}{{[]uint64{11, 12}, true}, {[]uint64{12}, true}, {nil, true}, {[]uint64{11, 13}, false}, {[]uint64{10, 12}, false}} {
		fs := disktest.NewCrashable()
		var incarnations []uint64
		for boot := range uint64(2) {
			l, err := Open(fs, "wal", Options{Owner: Owner{Boot: boot + 1, Incarnation: 11 + boot}, Earlier: incarnations})
			must(t, err)
			must(t, l.Close())
			incarnations = append(incarnations, 11+boot)
		}
		l, err := Open(fs, "wal", Options{Owner: Owner{Boot: 3, Incarnation: 99}, Earlier: c.earlier})
		if (err == nil) != c.ok {
			t.Fatalf("earlier starts %v: %v", c.earlier, err)
		}
		if err == nil {
			must(t, l.Close())
		}
	}
}

// TestVersion1IsRead in a folder that was upgraded, and is followed by owned segments.
func TestVersion1IsRead(t *testing.T) {
	fs := disktest.NewCrashable()
	l, err := owned(fs, 1, 1, 0)
	must(t, err)
	mustSave(t, l, Write{HardState: hard(1, 0, 0), Entries: entries(1, 1, 10), Sync: true})
	must(t, l.Close())
	toVersion1(t, fs, "0000000000000001")
	unowned := uint64(math.MaxUint64)
	for boot := range uint64(3) {
		l, err := owned(fs, 1, 2+boot, unowned)
		must(t, err)
		if unowned = l.Unowned(); unowned != 1 || l.index.last() != 10 {
			t.Fatalf("unowned up to %d, last entry %d", unowned, l.index.last())
		}
		if boot == 2 {
			mustSave(t, l, Write{Snapshot: mark(10, 1), Sync: true})
			must(t, l.Compact(10))
		}
		must(t, l.Close())
	}
	l, err = owned(fs, 1, 9, unowned)
	must(t, err)
	if l.Unowned() != 0 {
		t.Fatalf("unowned up to %d after the segment was removed", l.Unowned())
	}
	must(t, l.Close())
}
