// Package disktest gives tests a file system in memory that can crash and fail.
//
// Read first: NewCrashable, Crash, FailWrites.
package disktest

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"

	"raftcached/replication/disk"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// NewCrashable returns an empty file system in memory that knows what was
// synced.
func NewCrashable() *FS { return &FS{mem: vfs.NewCrashableMem()} }

// Crash returns what fs holds after a crash: all that was synced, and, as chance
// has it, all of the rest or nothing of it. The old one is of no further use.
func Crash(fs *FS, rng *rand.Rand) *FS {
	percent := []int{0, 100}[rng.IntN(2)] // between them the order of a map would show
	return &FS{mem: fs.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})}
}

// ErrInjected is what a failing file system answers.
var ErrInjected = errors.New("injected fault")

// FS implements disk.FS in memory.
type FS struct {
	mem *vfs.MemFS

	// FailIn, if positive, counts down with each write and sync: the one that
	// brings it to 0 fails, and all after it.
	FailIn int
	failed bool
}

// Failed reports whether a fault was injected: nothing can be written any more.
func (fs *FS) Failed() bool { return fs.failed }

// fault reports whether the operation at hand is to fail.
func (fs *FS) fault() error {
	if fs.FailIn > 0 {
		fs.FailIn--
		fs.failed = fs.FailIn == 0
	}
	if fs.failed {
		return ErrInjected
	}
	return nil
}

const category = vfs.WriteCategoryUnspecified

// Create implements disk.FS.
func (fs *FS) Create(name string) (disk.File, error) {
	if err := fs.fault(); err != nil {
		return nil, err
	}
	f, err := fs.mem.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &file{f, fs}, nil
}

// Open implements disk.FS.
func (fs *FS) Open(name string) (disk.File, error) {
	f, err := fs.mem.Open(name)
	if err != nil {
		return nil, err
	}
	return &file{f, fs}, nil
}

// OpenDirect implements disk.FS.
func (fs *FS) OpenDirect(name string) (disk.File, error) { return fs.Open(name) }

// Rename implements disk.FS.
func (fs *FS) Rename(from, to string) error {
	if err := fs.fault(); err != nil {
		return err
	}
	return fs.mem.Rename(from, to)
}

// Remove implements disk.FS.
func (fs *FS) Remove(name string) error { return fs.mem.Remove(name) }

// List implements disk.FS.
func (fs *FS) List(dir string) ([]string, error) {
	names, err := fs.mem.List(dir)
	slices.Sort(names)
	return names, err
}

// MkdirAll implements disk.FS.
func (fs *FS) MkdirAll(dir string) error { return fs.mem.MkdirAll(dir, 0o700) }

// SyncDir implements disk.FS.
func (fs *FS) SyncDir(dir string) error {
	if err := fs.fault(); err != nil {
		return err
	}
	if dir == "." {
		dir = ""
	}
	d, err := fs.mem.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock implements disk.FS.
func (fs *FS) Lock(name string) (io.Closer, error) { return fs.mem.Lock(name) }

type file struct {
	vfs.File
	fs *FS
}

func (f *file) Write(b []byte) (int, error) {
	if err := f.fs.fault(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *file) Sync() error {
	if err := f.fs.fault(); err != nil {
		return err
	}
	return f.File.Sync()
}

// WriteBack does nothing: it promises nothing.
func (f *file) WriteBack(int64, int64) error { return nil }

func (f *file) Zero(from, bytes int64) error {
	if err := f.fs.fault(); err != nil {
		return err
	}
	_, err := f.WriteAt(make([]byte, bytes), from)
	return err
}

// Preallocate does nothing: a file in memory has room.
func (f *file) Preallocate(int64) error { return nil }

func (f *file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
