package disk

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (osFS) space(dir string) (Space, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			return Space{Free: int64(s.Bavail) * s.Bsize, Total: int64(s.Blocks) * s.Bsize}, nil
		}
		if parent := filepath.Dir(dir); errors.Is(err, iofs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return Space{}, err
	}
}

func (osFS) contents(dir string) (bytes int64, newest time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, newest
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // it was removed meanwhile, or is none of a server's files
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += s.Blocks * 512 // as stat(2) counts them
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return bytes, newest
}
