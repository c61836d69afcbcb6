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

// onEach runs a test on the operating system's files and on those in memory, in a
// folder of its own.
func onEach(t *testing.T, test func(t *testing.T, fs disk.FS, dir string)) {
	t.Run("operating system", func(t *testing.T) { test(t, disk.OS(), t.TempDir()) })
	t.Run("memory", func(t *testing.T) {
		fs := disk.NewMemory()
		must(t, fs.MkdirAll("/tmp/x"))
		test(t, fs, "/tmp/x")
	})
}

func TestFiles(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		must(t, fs.MkdirAll(filepath.Join(dir, "a", "b")))
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
	})
}

// TestWritesGoOn: neither zeros nor reads at an offset move the place where the
// next write goes, and files may be longer than a chunk.
func TestWritesGoOn(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		f, err := fs.Create(filepath.Join(dir, "f"))
		must(t, err)
		var want []byte
		for i := range 5 {
			part := bytes.Repeat([]byte{byte('a' + i)}, 50_000)
			_, err = f.Write(part)
			must(t, err)
			want = append(want, part...)
			if n, err := f.ReadAt(make([]byte, 10), int64(i)); n != 10 || err != nil {
				t.Fatalf("read %d bytes, %v", n, err)
			}
		}
		must(t, f.Zero(30_000, 150_000))
		clear(want[30_000:180_000])
		must(t, f.Zero(240_000, 30_000)) // to beyond the end
		clear(want[240_000:])
		want = append(want, make([]byte, 20_000)...)
		_, err = f.Write([]byte("next"))
		must(t, err)
		copy(want[250_000:], "next")
		must(t, f.Close())
		if got, err := disk.ReadFile(fs, filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, want %d, or others; %v", len(got), len(want), err)
		}
	})
}

func TestReadsAtTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		name := filepath.Join(dir, "f")
		must(t, disk.WriteFileAtomic(fs, name, []byte("12345")))
		f, err := fs.Open(name)
		must(t, err)
		b := make([]byte, 4)
		if n, err := f.ReadAt(b, 3); n != 2 || !errors.Is(err, io.EOF) {
			t.Fatalf("read %d bytes across the end, %v", n, err)
		}
		for i, want := range []string{"1234", "5", ""} {
			n, err := f.Read(b)
			if string(b[:n]) != want || (want == "") != errors.Is(err, io.EOF) {
				t.Fatalf("read %d gives %q, %v; want %q", i, b[:n], err, want)
			}
		}
		if _, err := f.Write(b); err == nil {
			t.Fatal("a file opened for reading was written to")
		}
		must(t, f.Close())
		if _, err := f.Read(b); !errors.Is(err, iofs.ErrClosed) {
			t.Fatalf("read after close: %v", err)
		}
	})
}

// TestNames: what is not there, what is replaced, and what is read while its name
// is taken away.
func TestNames(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		a, b, none := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "none")
		must(t, disk.WriteFileAtomic(fs, a, []byte("first")))
		must(t, disk.WriteFileAtomic(fs, b, []byte("second")))
		open, err := fs.Open(b)
		must(t, err)
		must(t, fs.Rename(a, b))
		if got, err := disk.ReadFile(fs, b); err != nil || string(got) != "first" {
			t.Fatalf("the replaced file holds %q, %v", got, err)
		}
		got, err := io.ReadAll(open)
		if must(t, err); string(got) != "second" {
			t.Fatalf("the file that was open holds %q", got)
		}
		must(t, open.Close())
		must(t, fs.Remove(b))
		f, err := fs.Create(a)
		must(t, err)
		must(t, f.Close())
		if got, err := disk.ReadFile(fs, a); err != nil || len(got) != 0 {
			t.Fatalf("the file created again holds %q, %v", got, err)
		}
		missing := map[string]error{
			"remove": fs.Remove(none), "rename": fs.Rename(none, a), "sync": fs.SyncDir(none),
		}
		_, missing["open"] = fs.Open(b)
		_, missing["list"] = fs.List(none)
		_, missing["create"] = fs.Create(filepath.Join(none, "f"))
		_, missing["lock"] = fs.Lock(filepath.Join(none, "f"))
		for what, err := range missing {
			if !errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("%s of what is not there: %v", what, err)
			}
		}
		if err := fs.Remove(dir); err == nil {
			t.Error("a folder with a file was removed")
		}
		if err := fs.MkdirAll(filepath.Join(a, "x")); err == nil {
			t.Error("a folder was made in a file")
		}
	})
}

// TestDirectReads reads a file of any size, also with buffers that are not of the
// kind asked for.
func TestDirectReads(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		name := filepath.Join(dir, "f")
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
	})
}

func TestLockIsExclusive(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		name := filepath.Join(dir, "LOCK")
		lock, err := fs.Lock(name)
		must(t, err)
		if _, err := fs.Lock(name); !errors.Is(err, disk.ErrLocked) {
			t.Fatalf("second lock: %v", err)
		}
		must(t, lock.Close())
		lock, err = fs.Lock(name)
		must(t, err)
		must(t, lock.Close())
	})
}

// TestMemoryMakesDirDurably: folders up to the root exist there too.
func TestMemoryMakesDirDurably(t *testing.T) {
	for _, dir := range []string{"/data/0", "data/0", "../x", "."} {
		fs := disk.NewMemory()
		must(t, disk.MakeDir(fs, dir))
		must(t, disk.WriteFileAtomic(fs, filepath.Join(dir, "f"), []byte("x")))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMissingFeatures: a file system that cannot sync a folder or reserve space, as
// FUSE and 9p, is told from a disk that fails. Folders of /proc refuse with EINVAL.
func TestMissingFeatures(t *testing.T) {
	if err := disk.OS().SyncDir("/proc"); err != nil {
		t.Errorf("sync a folder that cannot be synced: %v", err)
	}
	if err := disk.MakeDir(disk.OS(), filepath.Join(t.TempDir(), "a", "b")); err != nil {
		t.Error(err)
	}
	if err := disk.OS().SyncDir(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that does not exist was synced")
	}
}

// TestEdits: a file is written to from its beginning on, cut, and grown again, by zeros.
func TestEdits(t *testing.T) {
	onEach(t, func(t *testing.T, fs disk.FS, dir string) {
		name := filepath.Join(dir, "f")
		if _, err := fs.Edit(name); !errors.Is(err, iofs.ErrNotExist) {
			t.Fatalf("edit a file that is not there: %v", err)
		}
		must(t, disk.WriteFileAtomic(fs, name, bytes.Repeat([]byte("x"), 200_000)))
		for _, size := range []int64{150_000, 131_072, 100_000, 3} {
			f, err := fs.Edit(name)
			must(t, err)
			_, err = f.Write([]byte("ab"))
			must(t, err)
			must(t, f.Truncate(size))
			must(t, f.Sync())
			must(t, f.Preallocate(size+70_000))
			must(t, f.Close())
			want := append([]byte("ab"), bytes.Repeat([]byte("x"), int(size-2))...)
			want = append(want, make([]byte, 70_000)...)
			if got, err := disk.ReadFile(fs, name); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("cut to %d: %d bytes, want %d, or others; %v", size, len(got), len(want), err)
			}
		}
	})
}
