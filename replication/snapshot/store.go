package snapshot

import (
	"cmp"
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
)

const (
	magic     = "rcsnap\x00\x01"
	suffix    = ".snap"
	tmpSuffix = ".tmp"

	// metadataBytesMax bounds the metadata: thousands of members.
	metadataBytesMax = 64 << 10

	// chunkBytes is the size of every chunk except the last.
	chunkBytes = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt reports that a file is not a complete snapshot. It cannot be used; other
// nodes have good ones.
var ErrCorrupt = errors.New("snapshot is damaged")

var errShort = fmt.Errorf("file ends early: %w", ErrCorrupt)

// Store is a folder of snapshots.
type Store struct {
	fs  disk.FS
	dir string

	mu   sync.Mutex
	next uint64 // number in the last temporary name
}

// Open opens the folder, or creates it, and removes incomplete files.
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

// List returns the metadata of the snapshots, newest first. If a file cannot be
// read, its metadata lacks the configuration.
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

// metadata reads only the metadata of a snapshot.
func (s *Store) metadata(index, term uint64) (*pb.SnapshotMetadata, error) {
	f, err := s.fs.Open(s.name(index, term))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	meta, err := readMetadata(start{f}, index, term)
	return meta, errors.Join(err, f.Close())
}

// Prune removes the snapshots with an index below the given one. A file that is open
// stays readable.
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

// Receive stores the file of another node, which has the given size. If it returns
// no error, the whole file was checked, is durable, and is visible.
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
