package disk_test

import (
	"bytes"
	"errors"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

func TestWriteFileAtomicSurvivesACrashAnywhere(t *testing.T) {
	for failIn := 1; failIn < 12; failIn++ {
		for seed := range uint64(4) {
			fs := disktest.NewCrashable()
			must(t, fs.MkdirAll("d"))
			must(t, fs.SyncDir(""))
			must(t, disk.WriteFileAtomic(fs, "d/f", []byte("old")))
			fs.FailIn = failIn
			err := disk.WriteFileAtomic(fs, "d/f", []byte("new"))
			got, readErr := disk.ReadFile(disktest.Crash(fs, rand.New(rand.NewPCG(seed, 0))), "d/f")
			must(t, readErr)
			if err == nil && string(got) != "new" || err != nil && string(got) != "old" && string(got) != "new" {
				t.Fatalf("fault %d, seed %d: write said %v, after the crash there is %q", failIn, seed, err, got)
			}
		}
	}
}

func TestOperatingSystem(t *testing.T) {
	fs, dir := disk.OS(), t.TempDir()
	must(t, fs.MkdirAll(filepath.Join(dir, "a", "b")))
	name := filepath.Join(dir, "a", "b", "f")
	f, err := fs.Create(name)
	must(t, err)
	must(t, f.Preallocate(1<<16))
	if size, err := f.Size(); err != nil || size != 1<<16 {
		t.Fatalf("preallocated to %d bytes, %v", size, err)
	}
	_, err = f.Write([]byte("hello"))
	must(t, err)
	must(t, f.WriteBack(0, 5))
	must(t, f.Sync())
	must(t, f.Close())
	got, err := disk.ReadFile(fs, name)
	if must(t, err); !bytes.HasPrefix(got, []byte("hello\x00")) {
		t.Fatalf("file begins with %q", got[:8])
	}
	must(t, disk.Publish(fs, name, name+"2"))
	names, err := fs.List(filepath.Dir(name))
	if must(t, err); len(names) != 1 || names[0] != "f2" {
		t.Fatalf("folder holds %q", names)
	}
}

// TestDirectReads reads a file of any size, also with buffers that are not of the
// kind asked for.
func TestDirectReads(t *testing.T) {
	fs, name := disk.OS(), filepath.Join(t.TempDir(), "f")
	for _, size := range []int{0, 1, 4096, 10_000, 3 * 4096} {
		want := bytes.Repeat([]byte("12345"), size/5+1)[:size]
		must(t, disk.WriteFileAtomic(fs, name, want))
		for _, buf := range [][]byte{disk.DirectBuffer(8192), disk.DirectBuffer(8192)[1:], make([]byte, 100)} {
			f, err := fs.OpenDirect(name)
			must(t, err)
			var got []byte
			for {
				n, err := f.Read(buf)
				got = append(got, buf[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				must(t, err)
			}
			must(t, f.Close())
			if !bytes.Equal(got, want) {
				t.Fatalf("read %d bytes of %d", len(got), size)
			}
		}
	}
	if _, err := fs.OpenDirect(name + "?"); !errors.Is(err, iofs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := disk.OS().Lock(name)
	must(t, err)
	if _, err := disk.OS().Lock(name); !errors.Is(err, disk.ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	must(t, lock.Close())
	lock, err = disk.OS().Lock(name)
	must(t, err)
	must(t, lock.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
