package disk

import (
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// chunkBytes is the piece in which a file in memory grows. A piece that was never
// written, or filled with zeros, takes no memory: logs reserve much more than
// they fill.
const chunkBytes = 64 << 10

// Memory is a file system in memory, for tests: it behaves like the operating
// system's and is gone with the process. Nothing in it is durable, and syncing
// does nothing. Its methods may be called from any goroutine.
type Memory struct {
	mu      sync.Mutex
	entries map[string]*memoryNode // by clean path
	locked  map[string]bool
}

// NewMemory returns an empty file system in memory.
func NewMemory() *Memory {
	return &Memory{entries: map[string]*memoryNode{}, locked: map[string]bool{}}
}

// memoryNode is a folder or the contents of a file, which lives on without a name
// while it is open.
type memoryNode struct {
	isDir bool

	mu     sync.RWMutex
	size   int64
	chunks [][]byte // nil: zeros
}

// Create implements FS.
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if err := m.checkParent("create", path); err != nil {
		return nil, err
	}
	node := m.entries[path]
	switch {
	case node == nil:
		node = &memoryNode{}
		m.entries[path] = node
	case node.isDir || isRoot(path):
		return nil, pathError("create", name, iofs.ErrExist)
	default:
		node.mu.Lock()
		node.size, node.chunks = 0, nil
		node.mu.Unlock()
	}
	return &memoryFile{name: name, node: node, writable: true}, nil
}

// Edit implements FS.
func (m *Memory) Edit(name string) (File, error) { return m.open(name, true) }

// Open implements FS.
func (m *Memory) Open(name string) (File, error) { return m.open(name, false) }

func (m *Memory) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.entries[filepath.Clean(name)]
	if node == nil || node.isDir {
		return nil, pathError("open", name, iofs.ErrNotExist)
	}
	return &memoryFile{name: name, node: node, writable: writable}, nil
}

// OpenDirect implements FS.
func (m *Memory) OpenDirect(name string) (File, error) { return m.Open(name) }

// Rename implements FS. Only files can be renamed.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	source, target := filepath.Clean(from), filepath.Clean(to)
	node := m.entries[source]
	if node == nil || node.isDir {
		return pathError("rename", from, iofs.ErrNotExist)
	}
	if err := m.checkParent("rename", target); err != nil {
		return err
	}
	if m.isDir(target) {
		return pathError("rename", to, iofs.ErrExist)
	}
	delete(m.entries, source)
	m.entries[target] = node
	return nil
}

// Remove implements FS.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if m.entries[path] == nil {
		return pathError("remove", name, iofs.ErrNotExist)
	}
	if len(m.names(path)) > 0 {
		return pathError("remove", name, iofs.ErrExist)
	}
	delete(m.entries, path)
	return nil
}

// List implements FS.
func (m *Memory) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(dir)
	if !m.isDir(path) {
		return nil, pathError("list", dir, iofs.ErrNotExist)
	}
	return m.names(path), nil
}

// names returns the sorted names in a folder.
func (m *Memory) names(path string) []string {
	var names []string
	for entry := range m.entries {
		if filepath.Dir(entry) == path && entry != path {
			names = append(names, filepath.Base(entry))
		}
	}
	slices.Sort(names)
	return names
}

// MkdirAll implements FS.
func (m *Memory) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := filepath.Clean(dir); !isRoot(path); path = filepath.Dir(path) {
		if node := m.entries[path]; node != nil && !node.isDir {
			return pathError("mkdir", dir, iofs.ErrExist)
		}
		m.entries[path] = &memoryNode{isDir: true}
	}
	return nil
}

// SyncDir implements FS.
func (m *Memory) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isDir(filepath.Clean(dir)) {
		return pathError("sync", dir, iofs.ErrNotExist)
	}
	return nil
}

// Lock implements FS. A lock ends only by Close: the process is the same.
func (m *Memory) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if err := m.checkParent("lock", path); err != nil {
		return nil, err
	}
	if m.locked[path] {
		return nil, ErrLocked
	}
	m.locked[path] = true
	if m.entries[path] == nil {
		m.entries[path] = &memoryNode{}
	}
	return &memoryLock{m, path}, nil
}

type memoryLock struct {
	fs   *Memory
	path string
}

func (l *memoryLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locked, l.path)
	return nil
}

// checkParent fails if there is no folder for the path.
func (m *Memory) checkParent(op, path string) error {
	if !m.isDir(filepath.Dir(path)) {
		return pathError(op, path, iofs.ErrNotExist)
	}
	return nil
}

func (m *Memory) isDir(path string) bool {
	return isRoot(path) || m.entries[path] != nil && m.entries[path].isDir
}

// isRoot reports whether a path is where a file system begins: such folders exist
// from the start.
func isRoot(path string) bool { return path == filepath.Dir(path) || strings.Trim(path, "./") == "" }

func pathError(op, name string, err error) error {
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

// memoryFile is an open file. As the operating system has it, Read and Write go on
// from one position.
type memoryFile struct {
	name     string
	node     *memoryNode
	at       int64
	writable bool
	closed   bool
}

func (f *memoryFile) check(op string, writes bool) error {
	if f.closed {
		return pathError(op, f.name, iofs.ErrClosed)
	}
	if writes && !f.writable {
		return pathError(op, f.name, iofs.ErrPermission)
	}
	return nil
}

func (f *memoryFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memoryFile) ReadAt(b []byte, from int64) (int, error) {
	if err := f.check("read", false); err != nil {
		return 0, err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if len(b) == 0 {
		return 0, nil
	}
	total := 0
	for total < len(b) && from < f.node.size {
		chunk, at := int(from/chunkBytes), from%chunkBytes
		n := int(min(int64(len(b)-total), chunkBytes-at, f.node.size-from))
		part := b[total : total+n]
		if chunk < len(f.node.chunks) && f.node.chunks[chunk] != nil {
			copy(part, f.node.chunks[chunk][at:])
		} else {
			clear(part)
		}
		total, from = total+n, from+int64(n)
	}
	if total < len(b) {
		return total, io.EOF
	}
	return total, nil
}

func (f *memoryFile) Write(b []byte) (int, error) {
	if err := f.check("write", true); err != nil {
		return 0, err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.grow(f.at + int64(len(b)))
	for rest := b; len(rest) > 0; {
		chunk, at := f.at/chunkBytes, f.at%chunkBytes
		if f.node.chunks[chunk] == nil {
			f.node.chunks[chunk] = make([]byte, chunkBytes)
		}
		n := copy(f.node.chunks[chunk][at:], rest)
		rest, f.at = rest[n:], f.at+int64(n)
	}
	return len(b), nil
}

// grow makes the contents at least as long, with zeros at the end.
func (n *memoryNode) grow(size int64) {
	n.size = max(n.size, size)
	for int64(len(n.chunks))*chunkBytes < n.size {
		n.chunks = append(n.chunks, nil)
	}
}

func (f *memoryFile) Zero(from, bytes int64) error {
	if err := f.check("write", true); err != nil {
		return err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.grow(from + bytes)
	for bytes > 0 {
		chunk, at := from/chunkBytes, from%chunkBytes
		n := min(bytes, chunkBytes-at)
		switch {
		case n == chunkBytes:
			f.node.chunks[chunk] = nil
		case f.node.chunks[chunk] != nil:
			clear(f.node.chunks[chunk][at : at+n])
		}
		from, bytes = from+n, bytes-n
	}
	return nil
}

func (f *memoryFile) Truncate(size int64) error {
	if err := f.check("truncate", true); err != nil {
		return err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if size > f.node.size {
		return pathError("truncate", f.name, iofs.ErrInvalid)
	}
	f.node.size = size
	chunks := (size + chunkBytes - 1) / chunkBytes
	clear(f.node.chunks[chunks:])
	f.node.chunks = f.node.chunks[:chunks]
	if at := size % chunkBytes; at > 0 && f.node.chunks[chunks-1] != nil {
		clear(f.node.chunks[chunks-1][at:]) // it may grow again
	}
	return nil
}

func (f *memoryFile) Preallocate(bytes int64) error {
	if err := f.check("preallocate", true); err != nil {
		return err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.grow(bytes)
	return nil
}

func (f *memoryFile) Size() (int64, error) {
	if err := f.check("size", false); err != nil {
		return 0, err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	return f.node.size, nil
}

func (f *memoryFile) Sync() error                  { return f.check("sync", false) }
func (f *memoryFile) WriteBack(int64, int64) error { return f.check("write back", false) }

func (f *memoryFile) Close() error {
	if err := f.check("close", false); err != nil {
		return err
	}
	f.closed = true
	return nil
}
