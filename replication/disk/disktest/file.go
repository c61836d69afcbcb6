package disktest

import (
	"io"
	iofs "io/fs"
)

// file is an open file, with one position for writing and one for reading.
type file struct {
	fs            *FS
	node          *inode
	written, read int64
}

// Write implements disk.File. When it fails, some first sectors may be written.
func (f *file) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.fault()
	n := len(b)
	if f.fs.full && f.written+int64(n) > f.node.now.size {
		return 0, f.fs.room()
	}
	if err != nil {
		end := f.written + int64(f.fs.rng.IntN(n+1))
		n = int(max(end-end%sectorBytes, f.written) - f.written)
	}
	f.node.write(f.written, b[:n])
	f.written += int64(n)
	return n, err
}

// Zero implements disk.File.
func (f *file) Zero(from, bytes int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.fault(); err != nil {
		return err
	}
	if f.fs.full && from+bytes > f.node.now.size {
		return f.fs.room()
	}
	f.node.write(from, make([]byte, bytes))
	return nil
}

// Truncate implements disk.File. When it fails, it may be done.
func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if size > f.node.now.size {
		return &iofs.PathError{Op: "truncate", Err: iofs.ErrInvalid}
	}
	err := f.fs.fault()
	if err == nil || f.fs.rng.IntN(2) == 0 {
		f.node.truncate(size)
	}
	return err
}

// Preallocate implements disk.File.
func (f *file) Preallocate(bytes int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.full && bytes > f.node.now.size {
		return f.fs.room()
	}
	f.node.grow(bytes)
	return nil
}

// Sync implements disk.File.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.fault(); err != nil {
		return err
	}
	f.node.sync()
	return nil
}

// WriteBack does nothing: it promises nothing.
func (f *file) WriteBack(int64, int64) error { return nil }

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.node.now.size, nil
}

// Read implements io.Reader.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.read)
	f.read += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := int(min(max(f.node.now.size-at, 0), int64(len(b))))
	clear(b[:n])
	if at < int64(len(f.node.now.data)) {
		copy(b[:n], f.node.now.data[at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (f *file) Close() error { return nil }
