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
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenDirect opens a file that will be read once, by Read, from beginning to end
	// and with buffers of DirectBuffer: past the system's cache, where it can.
	OpenDirect(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List returns the names in a folder, sorted, without their path.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	SyncDir(dir string) error
	// Lock takes a lock that is given up by Close or by the end of the process.
	// ErrLocked tells that another process has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes what was written durable. After an error nothing that was
	// written since the last Sync can be relied on, and Sync must not be tried
	// again.
	Sync() error
	// WriteBack has the disk begin with the bytes in the range, and waits for it
	// to be done with them. Unlike Sync it makes nothing durable: it keeps much
	// from piling up that the next Sync, of any file, would have to wait for.
	WriteBack(from, bytes int64) error
	// Zero writes zeros into the range, and leaves alone where Write writes next.
	Zero(from, bytes int64) error
	// Preallocate reserves room, which reads as zeros until it is written.
	Preallocate(bytes int64) error
	Size() (int64, error)
}

// directAlign is what direct reads want addresses and lengths to be multiples of.
const directAlign = 4096

// DirectBuffer returns a buffer of n bytes for reading from what OpenDirect opened,
// whole or a part of it that begins and ends at multiples of 4096 bytes.
func DirectBuffer(n int) []byte {
	b := make([]byte, n+directAlign)
	at := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (directAlign - 1)
	return b[at : at+n : at+n]
}

// ErrLocked tells that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// MakeDir makes a folder, and those above it, durably.
func MakeDir(fs FS, dir string) error {
	if err := fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("make folder %q: %w", dir, err)
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		// A folder that may not be read was not made here.
		if err := fs.SyncDir(parent); err != nil && !errors.Is(err, iofs.ErrPermission) {
			return fmt.Errorf("sync folder %q: %w", parent, err)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// tmpSuffix marks files that are not complete. Whoever finds one after a start
// may remove it.
const tmpSuffix = ".tmp"

// WriteFileAtomic makes the file hold b, durably: after a crash it holds either
// what it held before or b.
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

// ReadFile returns what the file holds.
func ReadFile(fs FS, name string) ([]byte, error) { return ReadFileInto(fs, name, nil) }

// ReadFileInto returns what the file holds, in buf if that is long enough.
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
