package disk

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"unsafe"
)

// FS is a file system. Names are paths as the operating system takes them. A
// created, renamed or removed name is durable after SyncDir of its folder.
type FS interface {
	// Create creates a file, or empties an existing one, for writing at its end
	// and reading anywhere.
	Create(name string) (File, error)
	// Edit opens a file for writing from its beginning on, and reading. It keeps what the
	// file holds.
	Edit(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenDirect opens a file that is read once with Read, from beginning to end, into
	// buffers of DirectBuffer. It bypasses the page cache if possible.
	OpenDirect(name string) (File, error)
	Rename(from, to string) error
	// Remove removes a file. What it takes may be free a little later, and what is open
	// of it can be read until it is closed.
	Remove(name string) error
	// List returns the names in a folder, sorted, without their path.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	SyncDir(dir string) error
	// Lock takes a lock, which is released by Close or at the end of the process. It
	// returns ErrLocked if another process has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes all writes durable. After an error the writes since the last Sync
	// may be lost, and Sync must not be called again.
	Sync() error
	// WriteBack writes a range back to the disk and waits for that. Unlike Sync it
	// makes nothing durable. It avoids a backlog that the next Sync, of any file,
	// would have to wait for.
	WriteBack(from, bytes int64) error
	// Zero writes zeros into a range. It does not move the position of Write.
	Zero(from, bytes int64) error
	// Truncate cuts the file to a size that is not more than it has. After a crash before
	// the next Sync the file may have any size from there on, and what it held before.
	Truncate(size int64) error
	// Preallocate reserves space, which reads as zeros until it is written.
	Preallocate(bytes int64) error
	Size() (int64, error)
}

// directAlign is the alignment of addresses and lengths in direct reads.
const directAlign = 4096

// DirectBuffer returns a buffer of n bytes for files that OpenDirect opened. A part of
// it may be used if it begins and ends at multiples of 4096 bytes.
func DirectBuffer(n int) []byte {
	b := make([]byte, n+directAlign)
	at := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (directAlign - 1)
	return b[at : at+n : at+n]
}

// ErrLocked reports that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// MakeSubdir durably creates a folder in one that is durable itself.
func MakeSubdir(fs FS, dir string) error {
	if err := fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("make folder %q: %w", dir, err)
	}
	if err := fs.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("sync folder %q: %w", filepath.Dir(dir), err)
	}
	return nil
}

// MakeDir durably creates a folder and its parents. It syncs all of them, up to the root:
// a process that created some of them may have ended before it did.
func MakeDir(fs FS, dir string) error {
	if err := fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("make folder %q: %w", dir, err)
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		// A folder without read permission was not created here.
		if err := fs.SyncDir(parent); err != nil && !errors.Is(err, iofs.ErrPermission) {
			return fmt.Errorf("sync folder %q: %w", parent, err)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// tmpSuffix marks incomplete files. They may be removed after a restart.
const tmpSuffix = ".tmp"

// WriteFileAtomic durably replaces the contents of a file by b. After a crash the file
// holds either its old contents or b.
func WriteFileAtomic(fs FS, name string, b []byte) error {
	tmp := name + tmpSuffix
	if err := writeFile(fs, tmp, b); err != nil {
		return err
	}
	return Publish(fs, tmp, name)
}

// Publish durably renames a file that was written and synced.
func Publish(fs FS, from, to string) error {
	if err := fs.Rename(from, to); err != nil {
		return fmt.Errorf("rename %q: %w", from, err)
	}
	if err := fs.SyncDir(filepath.Dir(to)); err != nil {
		return fmt.Errorf("sync folder of %q: %w", to, err)
	}
	return nil
}

func writeFile(fs FS, name string, b []byte) error {
	f, err := fs.Create(name)
	if err != nil {
		return fmt.Errorf("create %q: %w", name, err)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	return nil
}

// ReadFile returns the contents of a file.
func ReadFile(fs FS, name string) ([]byte, error) { return ReadFileInto(fs, name, nil) }

// ReadFileInto returns the contents of a file, in buf if it is long enough.
func ReadFileInto(fs FS, name string, buf []byte) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	b, err := readInto(f, buf)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return b, nil
}

func readInto(f File, buf []byte) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := slices.Grow(buf[:0], int(size))[:size]
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return b, nil
}
