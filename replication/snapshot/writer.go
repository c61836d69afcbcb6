package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Writer writes the contents of one snapshot.
type Writer struct {
	store *Store
	meta  *pb.SnapshotMetadata
	tmp   string
	file  *disk.Paced
	chunk []byte
	size  uint64
	err   error
}

// Create begins a snapshot. The caller must call either Commit or Abort.
func (s *Store) Create(meta *pb.SnapshotMetadata) (*Writer, error) {
	head, err := appendHead(nil, s.options.Owner, meta)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w := &Writer{store: s, meta: meta, tmp: s.tmpName()}
	f, err := s.fs.Create(w.tmp)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w.file = &disk.Paced{File: f}
	w.write(head)
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

// Hurry has the rest written without regard to the log, which is growing beyond what
// it may take.
func (w *Writer) Hurry() { w.file.Hurry = true }

// Commit makes the snapshot durable and then visible.
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
	if err := disk.Publish(w.store.fs, w.tmp, w.store.name(w.meta.GetIndex(), w.meta.GetTerm())); err != nil {
		return err
	}
	w.store.came(w.meta)
	return nil
}

// Abort drops the snapshot.
func (w *Writer) Abort() error {
	return errors.Join(w.file.Close(), w.store.fs.Remove(w.tmp))
}
