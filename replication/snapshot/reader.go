package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Reader reads the contents of a snapshot and checks them while reading. It returns
// io.EOF only if the file was complete.
type Reader struct {
	file  disk.File
	in    stream
	meta  *pb.SnapshotMetadata
	chunk []byte // unread rest of the current chunk, in the window
	size  uint64
	err   error
}

// stream is a source for a whole file.
type stream interface {
	source
	more() (bool, error) // whether there is more than was returned
	stop()
}

// Open opens a snapshot for reading.
func (s *Store) Open(index, term uint64) (*Reader, error) {
	f, err := s.fs.OpenDirect(s.name(index, term))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	r := &Reader{file: f, in: newWindow(f)}
	h, err := readHead(r.in, index, term)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.meta = h.meta
	return r, nil
}

// Meta returns the snapshot's metadata.
func (r *Reader) Meta() *pb.SnapshotMetadata { return r.meta }

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

// next reads and checks the next chunk. It returns io.EOF after a valid end.
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
		return fmt.Errorf("bytes after the end: %w", ErrCorrupt)
	}
	return io.EOF
}

// Close closes the file.
func (r *Reader) Close() error {
	r.in.stop()
	return r.file.Close()
}

// verify reads and checks a whole file.
func verify(fs disk.FS, name string) error {
	f, err := fs.OpenDirect(name)
	if err != nil {
		return err
	}
	r := &Reader{file: f, in: newWindow(f)}
	if _, err = readAnyHead(r.in); err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return errors.Join(err, r.Close())
}
