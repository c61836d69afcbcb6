package disk

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Modes of new files and folders. The contents of a cache may be private.
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return nil, err
	}
	if f, err = opened(f); err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Edit(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if f, err = opened(f); err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if f, err = opened(f); err != nil {
		return nil, err
	}
	// Files are read from beginning to end. If the system ignores this, only speed is
	// lost.
	_ = control(f, func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL) })
	return osFile{f}, nil
}

func (o osFS) OpenDirect(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) {
		return o.Open(name) // only speed is lost
	}
	if err != nil {
		return nil, err
	}
	if f, err = opened(f); err != nil {
		return nil, err
	}
	return directFile{osFile{f}}, nil
}

// directFile is an osFile opened with O_DIRECT.
type directFile struct{ osFile }

// Read implements io.Reader. If the file system refuses a direct read, for example at
// the end of a file, Read switches to normal reads.
func (f directFile) Read(b []byte) (int, error) {
	n, err := f.osFile.Read(b)
	if !errors.Is(err, syscall.EINVAL) {
		return n, err
	}
	err = control(f.File, func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_DIRECT)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return f.osFile.Read(b)
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return remove(name, time.Sleep) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, dirMode) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(ignoreMissing(d.Sync()), d.Close())
}

// ignoreMissing drops the error of a file system that lacks an operation, where
// nothing but that is lost: FUSE, 9p and some network file systems cannot sync a
// folder, or reserve space. A disk that fails answers differently.
func ignoreMissing(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, errors.Join(err, f.Close())
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return control(f.File, unix.Fdatasync) }

func (f osFile) WriteBack(from, bytes int64) error {
	const flags = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := control(f.File, func(fd int) error { return unix.SyncFileRange(fd, from, bytes, flags) })
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ESPIPE) {
		return nil // only speed is lost
	}
	return err
}

// zeros is written by Zero. It is in the bss segment and takes no memory.
var zeros [256 << 10]byte

func (f osFile) Zero(from, bytes int64) error {
	for bytes > 0 {
		n, err := f.WriteAt(zeros[:min(bytes, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from, bytes = from+int64(n), bytes-int64(n)
	}
	return nil
}

func (f osFile) Preallocate(bytes int64) error {
	err := control(f.File, func(fd int) error { return unix.Fallocate(fd, 0, 0, bytes) })
	return ignoreMissing(err) // only speed is lost
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// control calls do with the file's descriptor, which stays open meanwhile. A copied
// descriptor number could belong to another file by then.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	err = raw.Control(func(fd uintptr) {
		for doErr = do(int(fd)); errors.Is(doErr, syscall.EINTR); {
			doErr = do(int(fd))
		}
	})
	return errors.Join(err, doErr)
}
