package offline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// harm changes a file's bytes.
func harm(t testing.TB, fs disk.FS, name string, change func(b []byte) []byte) {
	t.Helper()
	name = filepath.Join(testDir, name)
	b, err := disk.ReadFile(fs, name)
	must(t, err)
	must(t, disk.WriteFileAtomic(fs, name, change(b)))
}

// flip flips a bit of the value of a key.
func flip(value string) func(b []byte) []byte {
	return func(b []byte) []byte {
		b[bytes.Index(b, []byte(value))] ^= 1
		return b
	}
}

func remove(t testing.TB, fs disk.FS, name string) {
	t.Helper()
	must(t, fs.Remove(filepath.Join(testDir, name)))
}

// segmentOf returns the segment that holds a text.
func segmentOf(t testing.TB, fs disk.FS, text string) string {
	t.Helper()
	names, err := fs.List(filepath.Join(testDir, "wal"))
	must(t, err)
	for _, name := range names {
		b, err := disk.ReadFile(fs, filepath.Join(testDir, "wal", name))
		must(t, err)
		if bytes.Contains(b, []byte(text)) {
			return filepath.Join("wal", name)
		}
	}
	t.Fatalf("no segment has %q", text)
	return ""
}

// TestRecoverDamaged: a damaged folder is recovered only with force, as far as what is
// left follows each other or the snapshot.
func TestRecoverDamaged(t *testing.T) {
	const snap = "snap/0000000000000015-0000000000000001.snap"
	for _, tt := range []struct {
		name  string
		harm  func(t *testing.T, fs disk.FS)
		items int64 // that are left
		want  string
	}{
		{"a value in the middle", func(t *testing.T, fs disk.FS) {
			harm(t, fs, segmentOf(t, fs, "v30"), flip("v30"))
		}, 30, "of 42 entries that it has had, those after 32 would be lost"},
		{"the last value", func(t *testing.T, fs disk.FS) {
			harm(t, fs, segmentOf(t, fs, "v39"), flip("v39"))
		}, 39, "those after 41 would be lost"},
		{"a value that the snapshot has", func(t *testing.T, fs disk.FS) {
			harm(t, fs, segmentOf(t, fs, "v17"), flip("v17"))
		}, 40, "it is readable up to entry 42, the last one that is known of"},
		{"a segment is missing", func(t *testing.T, fs disk.FS) {
			remove(t, fs, segmentOf(t, fs, "v25"))
		}, 21, "those after 23 would be lost"},
		{"the log is gone", func(t *testing.T, fs disk.FS) {
			names, err := fs.List(filepath.Join(testDir, "wal"))
			must(t, err)
			for _, name := range names {
				remove(t, fs, filepath.Join("wal", name))
			}
		}, 20, "all of its segments are missing; of 42 entries that it has had, those after 21 would be lost"},
		{"the snapshot is damaged, and the log begins after it", func(t *testing.T, fs disk.FS) {
			harm(t, fs, snap, flip("v11"))
		}, 0, "it holds nothing that could be recovered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := disktest.NewCrashable()
			newFolder(t, fs)
			tt.harm(t, fs)
			err := recoverFolder(fs, false, 3)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("recover: %v, want %q", err, tt.want)
			}
			err = recoverFolder(fs, true, 3)
			if tt.items == 0 {
				if err == nil {
					t.Error("it was recovered")
				}
				return
			}
			must(t, err)
			s, err := start(t, fs)
			must(t, err)
			if n := s.engine.Stats().CurrItems; n != tt.items {
				t.Errorf("%d items are left, want %d", n, tt.items)
			}
		})
	}
}

// TestOpenChangesNothing: looking at a folder leaves every byte of it, whatever it has.
func TestOpenChangesNothing(t *testing.T) {
	for _, torn := range []bool{false, true} {
		fs := disktest.NewCrashable()
		newFolder(t, fs)
		if torn {
			harm(t, fs, segmentOf(t, fs, "v39"), func(b []byte) []byte { return append(b[:bytes.Index(b, []byte("v39"))], make([]byte, 600)...) })
		}
		must(t, disk.WriteFileAtomic(fs, filepath.Join(testDir, "wal", "unfinished"), []byte("x")))
		must(t, disk.WriteFileAtomic(fs, filepath.Join(testDir, "snap", "7.tmp"), []byte("x")))
		before := contents(t, fs)
		f, err := Open(fs, testDir, Options{})
		must(t, err)
		must(t, f.Close())
		if after := contents(t, fs); after != before {
			t.Errorf("folder was %s\nnow it is %s", before, after)
		}
	}
}

func contents(t testing.TB, fs disk.FS) string {
	t.Helper()
	var text strings.Builder
	for _, sub := range []string{".", "wal", "snap"} {
		names, err := fs.List(filepath.Join(testDir, sub))
		must(t, err)
		for _, name := range names {
			if b, err := disk.ReadFile(fs, filepath.Join(testDir, sub, name)); err == nil {
				fmt.Fprintf(&text, "%s/%s %x\n", sub, name, b)
			}
		}
	}
	return text.String()
}

// TestRecoverRefuses lists what cannot be recovered at all.
func TestRecoverRefuses(t *testing.T) {
	fs := disktest.NewCrashable()
	newFolder(t, fs)
	f, err := Open(fs, testDir, Options{})
	must(t, err)
	wantError(t, recoverFolder(fs, true, 3), "it is in use by another process")
	must(t, f.Close())

	harm(t, fs, "identity", flip("cluster"))
	wantError(t, recoverFolder(fs, true, 3), "it is damaged")
	must(t, fs.Remove(filepath.Join(testDir, "identity")))
	wantError(t, recoverFolder(fs, true, 3), "is no data folder")

	_, err = Open(disk.OS(), filepath.Join(t.TempDir(), "missing"), Options{})
	wantError(t, err, os.ErrNotExist.Error()[:2])
}

func wantError(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want %q in it", err, text)
	}
}
