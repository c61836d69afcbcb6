package snapshot

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Raw opens a snapshot's file as it is, for Receive on another node. Its bytes are
// checked before they are returned: reading a damaged file fails with ErrCorrupt. Opening
// it reads nothing.
func (s *Store) Raw(index, term uint64) (rc io.ReadCloser, sizeBytes int64, err error) {
	f, err := s.fs.OpenDirect(s.name(index, term))
	if err != nil {
		return nil, 0, fmt.Errorf("open snapshot: %w", err)
	}
	if sizeBytes, err = f.Size(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open snapshot: %w", err), f.Close())
	}
	return &rawReader{file: f, index: index, term: term}, sizeBytes, nil
}

// SetAside checks a snapshot, after it could not be read. If it is damaged, which reading it
// again confirms, it is no snapshot any more, and the file remains until the next one is
// complete.
func (s *Store) SetAside(index, term uint64) (damaged bool, err error) {
	err = s.readAll(index, term)
	if err == nil || errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	if !errors.Is(err, ErrCorrupt) {
		return false, err
	}
	name := s.name(index, term)
	if err := s.fs.Rename(name, name+damagedSuffix); err != nil {
		return false, fmt.Errorf("set damaged snapshot aside: %w", err)
	}
	s.went(func(m *pb.SnapshotMetadata) bool { return m.GetIndex() == index && m.GetTerm() == term })
	return true, s.fs.SyncDir(s.dir)
}

// readAll reads and checks a whole snapshot, which must have its own name.
func (s *Store) readAll(index, term uint64) error {
	r, err := s.Open(index, term)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// keeping keeps the parts that it returns.
type keeping struct {
	*window
	parts []byte
}

func (k *keeping) next(n int) ([]byte, error) {
	b, err := k.window.next(n)
	k.parts = append(k.parts, b...)
	return b, err
}

// rawReader returns the parts that its reader has checked.
type rawReader struct {
	file        disk.File
	index, term uint64
	reader      Reader
	kept        *keeping // nil before the first Read
	at          int      // in kept.parts; what is before was returned
	err         error
}

// Read implements io.Reader.
func (r *rawReader) Read(b []byte) (int, error) {
	if r.kept == nil {
		r.kept = &keeping{window: newWindow(r.file)}
		r.reader = Reader{file: r.file, in: r.kept}
		_, r.err = readHead(r.kept, r.index, r.term)
		r.check()
	}
	for r.at == len(r.kept.parts) {
		if r.err != nil {
			return 0, r.err
		}
		r.kept.parts, r.at = r.kept.parts[:0], 0
		r.err = r.reader.next()
		r.check()
	}
	n := copy(b, r.kept.parts[r.at:])
	r.at += n
	return n, nil
}

// check drops what was found to be damaged.
func (r *rawReader) check() {
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		r.kept.parts = nil
	}
}

// Close closes the file.
func (r *rawReader) Close() error {
	if r.kept == nil {
		return r.file.Close()
	}
	return r.reader.Close()
}
