package snapshot

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	magic     = "rcsnap\x00\x01"
	suffix    = ".snap"
	tmpSuffix = ".tmp"

	// metadataBytesMax bounds the metadata: thousands of members.
	metadataBytesMax = 64 << 10

	// chunkBytes is the size of a chunk but for the last.
	chunkBytes = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt tells that a file is no whole snapshot. It is of no use; another
// node has a good one.
var ErrCorrupt = errors.New("snapshot is damaged")

var errShort = fmt.Errorf("file ends early: %w", ErrCorrupt)

// Store is a folder of snapshots.
type Store struct {
	fs  disk.FS
	dir string

	mu   sync.Mutex
	next uint64 // names temporary files
}

// Open opens the folder, or makes it, and removes what was left incomplete.
func Open(fs disk.FS, dir string) (*Store, error) {
	if err := disk.MakeDir(fs, dir); err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			if err := fs.Remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
			}
		}
	}
	return &Store{fs: fs, dir: dir}, nil
}

func (s *Store) name(index, term uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x-%016x%s", index, term, suffix))
}

// tmpName returns a name that nothing else uses.
func (s *Store) tmpName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return filepath.Join(s.dir, fmt.Sprintf("%d%s", s.next, tmpSuffix))
}

// List returns the metadata of the snapshots, the newest first, without their
// configuration if the file cannot be read.
func (s *Store) List() ([]*pb.SnapshotMetadata, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var list []*pb.SnapshotMetadata
	for _, name := range names {
		var index, term uint64
		if n, err := fmt.Sscanf(name, "%016x-%016x"+suffix, &index, &term); n != 2 || err != nil {
			continue
		}
		meta := &pb.SnapshotMetadata{Index: new(index), Term: new(term)}
		if m, err := s.metadata(index, term); err == nil {
			meta = m
		}
		list = append(list, meta)
	}
	slices.SortFunc(list, func(a, b *pb.SnapshotMetadata) int {
		return cmp.Or(cmp.Compare(b.GetIndex(), a.GetIndex()), cmp.Compare(b.GetTerm(), a.GetTerm()))
	})
	return list, nil
}

// metadata reads the metadata of a snapshot alone.
func (s *Store) metadata(index, term uint64) (*pb.SnapshotMetadata, error) {
	f, err := s.fs.Open(s.name(index, term))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	meta, err := readMetadata(start{f}, index, term)
	return meta, errors.Join(err, f.Close())
}

// Prune removes the snapshots of an index below the given one. A file that is
// being read stays readable.
func (s *Store) Prune(below uint64) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, meta := range list {
		if meta.GetIndex() >= below {
			continue
		}
		if err := s.fs.Remove(s.name(meta.GetIndex(), meta.GetTerm())); err != nil {
			return fmt.Errorf("remove old snapshot: %w", err)
		}
	}
	return nil
}

// Writer takes the contents of one snapshot.
type Writer struct {
	store *Store
	meta  *pb.SnapshotMetadata
	tmp   string
	file  disk.File
	chunk []byte
	size  uint64
	err   error
}

// Create begins a snapshot. Either Commit or Abort ends it.
func (s *Store) Create(meta *pb.SnapshotMetadata) (*Writer, error) {
	encoded, err := proto.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w := &Writer{store: s, meta: meta, tmp: s.tmpName()}
	f, err := s.fs.Create(w.tmp)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w.file = &paced{File: f}
	head := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(encoded)))
	head = append(head, encoded...)
	w.write(binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli)))
	return w, nil
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.file.Write(b)
	}
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), chunkBytes-len(w.chunk))
		w.chunk = append(w.chunk, rest[:n]...)
		rest = rest[n:]
		if len(w.chunk) == chunkBytes {
			w.flush()
		}
	}
	if w.err != nil {
		return 0, fmt.Errorf("write snapshot: %w", w.err)
	}
	return len(b), nil
}

func (w *Writer) flush() {
	if len(w.chunk) == 0 {
		return
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(w.chunk)))
	w.write(binary.LittleEndian.AppendUint32(head, crc32.Checksum(w.chunk, castagnoli)))
	w.write(w.chunk)
	w.size += uint64(len(w.chunk))
	w.chunk = w.chunk[:0]
}

// Commit makes the snapshot durable, and then visible.
func (w *Writer) Commit() error {
	w.flush()
	size := binary.LittleEndian.AppendUint64(nil, w.size)
	end := append([]byte{0, 0, 0, 0}, size...)
	w.write(binary.LittleEndian.AppendUint32(end, crc32.Checksum(size, castagnoli)))
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if w.err != nil {
		return fmt.Errorf("write snapshot: %w", errors.Join(w.err, w.Abort()))
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close snapshot: %w", err)
	}
	return disk.Publish(w.store.fs, w.tmp, w.store.name(w.meta.GetIndex(), w.meta.GetTerm()))
}

// Abort drops the snapshot.
func (w *Writer) Abort() error {
	return errors.Join(w.file.Close(), w.store.fs.Remove(w.tmp))
}

// Reader reads the contents of a snapshot and checks them on the way: at the end
// it returns io.EOF only if all was there.
type Reader struct {
	file  disk.File
	in    *window
	meta  *pb.SnapshotMetadata
	chunk []byte // what is left of the present one, in the window
	size  uint64
	err   error
}

// Open opens a snapshot for reading.
func (s *Store) Open(index, term uint64) (*Reader, error) {
	f, err := s.fs.OpenDirect(s.name(index, term))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	r := &Reader{file: f, in: newWindow(f)}
	if r.meta, err = readMetadata(r.in, index, term); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Meta returns the snapshot's metadata.
func (r *Reader) Meta() *pb.SnapshotMetadata { return r.meta }

// source is where the parts of a file come from, one after the other. A part is
// valid until the next call.
type source interface {
	next(n int) ([]byte, error)
}

// start is a source for the first parts of a file.
type start struct{ in io.Reader }

func (s start) next(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errShort
		}
		return nil, err
	}
	return b, nil
}

// readMetadata reads the metadata of the snapshot of a known index and term.
func readMetadata(in source, index, term uint64) (*pb.SnapshotMetadata, error) {
	meta, err := readAnyMetadata(in)
	if err == nil && (meta.GetIndex() != index || meta.GetTerm() != term) {
		err = fmt.Errorf("file is of index %d: %w", meta.GetIndex(), ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot %d: %w", index, err)
	}
	return meta, nil
}

func readAnyMetadata(in source) (*pb.SnapshotMetadata, error) {
	head, err := in.next(len(magic) + 4)
	if err != nil {
		return nil, err
	}
	headSum := crc32.Checksum(head, castagnoli)
	n := binary.LittleEndian.Uint32(head[len(magic):])
	if string(head[:len(magic)]) != magic || n > metadataBytesMax {
		return nil, fmt.Errorf("no head of a snapshot: %w", ErrCorrupt)
	}
	rest, err := in.next(int(n) + 4)
	if err != nil {
		return nil, err
	}
	sum := crc32.Update(headSum, castagnoli, rest[:n])
	meta := new(pb.SnapshotMetadata)
	if sum != binary.LittleEndian.Uint32(rest[n:]) || proto.Unmarshal(rest[:n], meta) != nil {
		return nil, fmt.Errorf("metadata has another checksum: %w", ErrCorrupt)
	}
	return meta, nil
}

// Read implements io.Reader.
func (r *Reader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// next reads and checks the next chunk; io.EOF tells that the end is right.
func (r *Reader) next() error {
	head, err := r.in.next(4)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head)
	if n == 0 {
		return r.end()
	}
	if n > chunkBytes {
		return fmt.Errorf("chunk of %d bytes: %w", n, ErrCorrupt)
	}
	b, err := r.in.next(4 + int(n))
	if err != nil {
		return err
	}
	sum, chunk := b[:4], b[4:]
	if crc32.Checksum(chunk, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return fmt.Errorf("chunk has another checksum: %w", ErrCorrupt)
	}
	r.chunk = chunk
	r.size += uint64(n)
	return nil
}

func (r *Reader) end() error {
	end, err := r.in.next(12)
	if err != nil {
		return err
	}
	if crc32.Checksum(end[:8], castagnoli) != binary.LittleEndian.Uint32(end[8:]) || binary.LittleEndian.Uint64(end[:8]) != r.size {
		return fmt.Errorf("size differs: %w", ErrCorrupt)
	}
	switch more, err := r.in.more(); {
	case err != nil:
		return err
	case more:
		return fmt.Errorf("bytes behind the end: %w", ErrCorrupt)
	}
	return io.EOF
}

// Close closes the file.
func (r *Reader) Close() error {
	r.in.stop()
	return r.file.Close()
}

// Raw opens a snapshot's file as it is, for Receive on another node.
func (s *Store) Raw(index, term uint64) (rc io.ReadCloser, sizeBytes int64, err error) {
	f, err := s.fs.Open(s.name(index, term))
	if err != nil {
		return nil, 0, fmt.Errorf("open snapshot: %w", err)
	}
	if sizeBytes, err = f.Size(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open snapshot: %w", err), f.Close())
	}
	return f, sizeBytes, nil
}

// Receive takes over the file of another node, of the given size. When it
// returns without an error, the file was checked from beginning to end, is
// durable, and visible.
func (s *Store) Receive(in io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error) {
	tmp := s.tmpName()
	meta, err := s.receive(tmp, in, sizeBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receive snapshot: %w", err), s.fs.Remove(tmp))
	}
	if err := disk.Publish(s.fs, tmp, s.name(meta.GetIndex(), meta.GetTerm())); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	return meta, nil
}

func (s *Store) receive(tmp string, in io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error) {
	f, err := s.fs.Create(tmp)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(struct{ io.Writer }{&paced{File: f}}, io.LimitReader(in, sizeBytes))
	if err == nil && n != sizeBytes {
		err = fmt.Errorf("%d of %d bytes came: %w", n, sizeBytes, ErrCorrupt)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return verify(s.fs, tmp)
}

// verify reads a whole file.
func verify(fs disk.FS, name string) (*pb.SnapshotMetadata, error) {
	f, err := fs.OpenDirect(name)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: f, in: newWindow(f)}
	if r.meta, err = readAnyMetadata(r.in); err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return r.meta, nil
}
