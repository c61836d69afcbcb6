package disk

import (
	"errors"
	"syscall"
	"time"
)

// Space is the room on the disk of a folder, in bytes. Free is what this process may
// use.
type Space struct{ Free, Total int64 }

// SpaceAt returns the room on the disk that a folder, which need not exist yet, is or
// will be on. It reports false if the file system does not know.
func SpaceAt(fs FS, dir string) (s Space, known bool) {
	if f, ok := fs.(interface{ space(string) (Space, error) }); ok {
		s, err := f.space(dir)
		return s, err == nil
	}
	return Space{}, false
}

// Contents returns the bytes that the files in a folder take, and when the newest was
// written to. It reports false if there is no file, or the file system does not know.
func Contents(fs FS, dir string) (bytes int64, newest time.Time, known bool) {
	if f, ok := fs.(interface {
		contents(string) (int64, time.Time)
	}); ok {
		bytes, newest = f.contents(dir)
	}
	return bytes, newest, !newest.IsZero()
}

// IsFull reports whether an error says that a disk, or a quota of it, is full.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
