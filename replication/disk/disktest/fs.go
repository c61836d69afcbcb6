// Package disktest gives tests a file system in memory that can crash and fail.
//
// Read first: NewCrashable, Crash, FS.FailIn, FS.SetFull.
//
// The model, which is that of a journaling file system on a disk with sectors of
// 512 bytes:
//
//   - Data that File.Sync has confirmed survives. Each later write reaches the disk
//     completely, partly or not at all. A partial write is any set of its sectors; the
//     other sectors keep their contents, or are zero beyond the end. Writes reach the
//     disk in any order. The file ends after the last data that reached the disk, or
//     at its full length.
//   - Names that SyncDir has confirmed survive. Of the later creations, renames and
//     removals, the first few reach the disk, in order. Their number may differ
//     between folders. A rename is atomic.
//   - New folders are durable immediately.
//   - A file that was cut since then has its old size, the new one, or one between them,
//     whatever else reached the disk.
//   - A write that fails may have been done up to the end of some sector. Nothing
//     can be written after it.
package disktest

import (
	"errors"
	"io"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"raftcached/replication/disk"
)

// ErrInjected is the error of a failing file system.
var ErrInjected = errors.New("injected fault")

// FS implements disk.FS in memory. Its methods may be called by any goroutine.
type FS struct {
	// FailIn, if positive, counts down with each write and sync: the one that
	// brings it to 0 fails, and all after it.
	FailIn int

	mu      sync.Mutex
	failed  bool
	full    bool
	rng     *rand.Rand // how much of a failing write is done
	folders map[string]*folder
	locks   map[string]bool
}

// NewCrashable returns an empty file system in memory that knows what was
// synced.
func NewCrashable() *FS { return newFS(1) }

func newFS(seed uint64) *FS {
	return &FS{
		rng:     rand.New(rand.NewPCG(seed, 0)),
		folders: map[string]*folder{".": newFolder(nil), "/": newFolder(nil)},
		locks:   map[string]bool{},
	}
}

// Crash returns what fs holds after a crash: everything that was synced, and a random
// part of the rest. The old file system must not be used any more.
func Crash(fs *FS, rng *rand.Rand) *FS {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	c := crash{rng: rng, luck: luck(rng.IntN(luckKinds)), files: map[*inode]*inode{}}
	after := newFS(rng.Uint64())
	for _, dir := range slices.Sorted(maps.Keys(fs.folders)) {
		after.folders[dir] = c.folder(fs.folders[dir])
	}
	return after
}

// Failed reports whether a fault was injected. Nothing can be written after that.
func (fs *FS) Failed() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.failed
}

// SetFull has everything fail that needs room on the disk, until it has some again.
// What was written or reserved before can be written again.
func (fs *FS) SetFull(full bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.full = full
}

// room returns an error if the disk is full. The caller holds mu.
func (fs *FS) room() error {
	if fs.full {
		return syscall.ENOSPC
	}
	return nil
}

// fault returns an error if the current operation must fail. The caller holds mu.
func (fs *FS) fault() error {
	if fs.FailIn > 0 {
		fs.FailIn--
		fs.failed = fs.failed || fs.FailIn == 0
	}
	if fs.failed {
		return ErrInjected
	}
	return nil
}

// at returns the folder that a name is in, and its last part.
func (fs *FS) at(name string) (*folder, string, error) {
	dir, base := filepath.Split(filepath.Clean(name))
	f, ok := fs.folders[filepath.Clean(dir)]
	if !ok {
		return nil, "", &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return f, base, nil
}

// Create implements disk.FS.
func (fs *FS) Create(name string) (disk.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := errors.Join(fs.fault(), fs.room()); err != nil {
		return nil, err
	}
	f, base, err := fs.at(name)
	if err != nil {
		return nil, err
	}
	node := &inode{}
	f.do(nameChange{to: base, node: node})
	return &file{fs: fs, node: node}, nil
}

// Edit implements disk.FS.
func (fs *FS) Edit(name string) (disk.File, error) { return fs.Open(name) }

// Open implements disk.FS.
func (fs *FS) Open(name string) (disk.File, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, base, err := fs.at(name)
	if err != nil {
		return nil, err
	}
	node, ok := f.names[base]
	if !ok {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return &file{fs: fs, node: node}, nil
}

// OpenDirect implements disk.FS.
func (fs *FS) OpenDirect(name string) (disk.File, error) { return fs.Open(name) }

// Rename implements disk.FS, within one folder.
func (fs *FS) Rename(from, to string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(); err != nil {
		return err
	}
	f, base, err := fs.at(from)
	if err != nil {
		return err
	}
	node, ok := f.names[base]
	if !ok || filepath.Dir(from) != filepath.Dir(to) {
		return &iofs.PathError{Op: "rename", Path: from, Err: iofs.ErrNotExist}
	}
	f.do(nameChange{from: base, to: filepath.Base(to), node: node})
	return nil
}

// Remove implements disk.FS.
func (fs *FS) Remove(name string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, base, err := fs.at(name)
	if err != nil {
		return err
	}
	if f.names[base] == nil {
		return &iofs.PathError{Op: "remove", Path: name, Err: iofs.ErrNotExist}
	}
	f.do(nameChange{from: base})
	return nil
}

// List implements disk.FS.
func (fs *FS) List(dir string) ([]string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, ok := fs.folders[filepath.Clean(dir)]
	if !ok {
		return nil, &iofs.PathError{Op: "list", Path: dir, Err: iofs.ErrNotExist}
	}
	names := slices.Collect(maps.Keys(f.names))
	for sub := range fs.folders {
		if sub != filepath.Dir(sub) && filepath.Dir(sub) == filepath.Clean(dir) {
			names = append(names, filepath.Base(sub))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements disk.FS.
func (fs *FS) MkdirAll(dir string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for dir = filepath.Clean(dir); fs.folders[dir] == nil; dir = filepath.Dir(dir) {
		fs.folders[dir] = newFolder(nil)
	}
	return nil
}

// SyncDir implements disk.FS.
func (fs *FS) SyncDir(dir string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := fs.fault(); err != nil {
		return err
	}
	f, ok := fs.folders[filepath.Clean(dir)]
	if !ok {
		return &iofs.PathError{Op: "sync", Path: dir, Err: iofs.ErrNotExist}
	}
	f.durable, f.changes = maps.Clone(f.names), nil
	return nil
}

// Lock implements disk.FS.
func (fs *FS) Lock(name string) (io.Closer, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.locks[name] {
		return nil, disk.ErrLocked
	}
	fs.locks[name] = true
	return unlock(func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		delete(fs.locks, name)
	}), nil
}

type unlock func()

// Close implements io.Closer.
func (u unlock) Close() error {
	u()
	return nil
}
