package disk

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Removing a file of 1 GiB at once lets the syncs of other files wait, for 81 and 591 ms in
// two trials. So a large file loses its name first, and is truncated then, piece by piece, on a goroutine
// of its own; if the process ends before, the kernel frees what is left.
//
// Nothing that is read may shrink. Whoever opens a file holds a shared lock of it until it
// is closed, and only who gets the exclusive one truncates. Nobody can open the file by
// then, and it is left alone if it has another name, like a hard link of somebody's.
const (
	removePieceBytes = 16 << 20
	removePause      = 10 * time.Millisecond
	removeAtOnce     = 2 * removePieceBytes // at most
)

// removing lets one file be truncated at a time.
var removing sync.Mutex

// remove removes a file.
func remove(name string, pause func(time.Duration)) error {
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return os.Remove(name) // a folder, or one that may not be written
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() <= removeAtOnce {
		return errors.Join(os.Remove(name), f.Close())
	}
	if err := os.Remove(name); err != nil {
		return errors.Join(err, f.Close())
	}
	go func() {
		removing.Lock()
		defer removing.Unlock()
		shrink(f, info.Size(), pause)
		_ = f.Close() // what is left is freed
	}()
	return nil
}

// shrink truncates a file that nobody else can reach. If that fails only time is lost.
func shrink(f *os.File, bytes int64, pause func(time.Duration)) {
	info, err := f.Stat()
	if err != nil {
		return
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Nlink > 0 {
		return
	}
	if control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }) != nil {
		return // it is read: the last one that closes it frees it
	}
	for bytes > removePieceBytes {
		bytes -= removePieceBytes
		if f.Truncate(bytes) != nil {
			return
		}
		pause(removePause)
	}
}

// opened returns a file that was opened, with the lock that lets it keep its length. One that
// is being removed is not there any more.
func opened(f *os.File) (*os.File, error) {
	err := control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) })
	gone := errors.Is(err, syscall.EWOULDBLOCK)
	if info, statErr := f.Stat(); statErr == nil && info.Mode().IsRegular() { // it may have been removed, and truncated, before it was locked
		s, ok := info.Sys().(*syscall.Stat_t)
		gone = gone || ok && s.Nlink == 0
	}
	if gone {
		return nil, errors.Join(&os.PathError{Op: "open", Path: f.Name(), Err: syscall.ENOENT}, f.Close())
	}
	return f, nil // without locks nothing is truncated
}
