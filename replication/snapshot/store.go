package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	suffix    = ".snap"
	tmpSuffix = ".tmp"

	// damagedSuffix follows the name of a snapshot that was set aside.
	damagedSuffix = ".damaged"

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

// Options of a Store.
type Options struct {
	// Owner is written to each snapshot. Open returns a *ForeignError if one has another
	// directory id, and Receive an error if it is of another cluster. Snapshots of
	// indexes up to Unowned may be of a version that names no owner.
	Owner   Owner
	Unowned uint64

	// ReadOnly has Open change nothing. Snapshots can only be listed and read.
	ReadOnly bool

	// AnyOwner has Open bear snapshots of others: to look at them, not to use them.
	AnyOwner bool
}

// Store is a folder of snapshots.
type Store struct {
	fs      disk.FS
	dir     string
	options Options
	unowned uint64

	mu     sync.Mutex
	next   uint64               // number in the last temporary name
	newest *pb.SnapshotMetadata // see Newest
}

// Open opens the folder, or creates it, and removes incomplete files. A *ForeignError
// reports that a snapshot is that of another data folder.
func Open(fs disk.FS, dir string, o Options) (*Store, error) {
	s := &Store{fs: fs, dir: dir, options: o}
	if !o.ReadOnly {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	if err := s.checkOwners(); err != nil {
		return nil, err
	}
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		s.newest = list[0]
	}
	return s, nil
}

// removeAll removes the files whose names end with suffix.
func (s *Store) removeAll(names []string, suffix string) error {
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil {
			return fmt.Errorf("remove %q: %w", name, err)
		}
	}
	return nil
}

// prepare makes the folder ready for writing.
func (s *Store) prepare() error {
	if err := disk.MakeSubdir(s.fs, s.dir); err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	return s.removeAll(names, tmpSuffix)
}

// checkOwners checks whose the snapshots are. One with a damaged head is of no use to
// anybody, see List.
func (s *Store) checkOwners() error {
	positions, err := s.positions()
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	for _, p := range positions {
		h, err := s.head(p[0], p[1])
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err == nil {
			err = s.options.checkOwner(s.name(p[0], p[1]), h)
		}
		if err != nil {
			return err
		}
		if !h.owned {
			s.unowned = max(s.unowned, p[0])
		}
	}
	return nil
}

// Unowned is the highest index of a snapshot of a version that names no owner, as Open
// found it, and 0 if there is none: Options.Unowned of the next Open.
func (s *Store) Unowned() uint64 { return s.unowned }

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
	positions, err := s.positions()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var list []*pb.SnapshotMetadata
	for _, p := range positions {
		meta := &pb.SnapshotMetadata{Index: new(p[0]), Term: new(p[1])}
		if h, err := s.head(p[0], p[1]); err == nil {
			meta = h.meta
		}
		list = append(list, meta)
	}
	slices.SortFunc(list, byAge)
	return list, nil
}

// byAge orders snapshots, the newest first.
func byAge(a, b *pb.SnapshotMetadata) int {
	return cmp.Or(cmp.Compare(b.GetIndex(), a.GetIndex()), cmp.Compare(b.GetTerm(), a.GetTerm()))
}

// positions returns index and term of each file that is named as a snapshot.
func (s *Store) positions() (list [][2]uint64, err error) {
	names, err := s.fs.List(s.dir)
	if err != nil && (!s.options.ReadOnly || !errors.Is(err, iofs.ErrNotExist)) {
		return nil, err
	}
	for _, name := range names {
		var index, term uint64
		_, err := fmt.Sscanf(name, "%016x-%016x"+suffix, &index, &term)
		if err == nil && name == filepath.Base(s.name(index, term)) {
			list = append(list, [2]uint64{index, term})
		}
	}
	return list, nil
}

// head reads only the head of a snapshot.
func (s *Store) head(index, term uint64) (*head, error) {
	f, err := s.fs.Open(s.name(index, term))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	h, err := readHead(start{f}, index, term)
	return h, errors.Join(err, f.Close())
}

// Prune removes the snapshots with an index below the given one, and those that were set
// aside. A file that is open stays readable.
func (s *Store) Prune(below uint64) error {
	defer s.went(func(m *pb.SnapshotMetadata) bool { return m.GetIndex() < below })
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
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	return s.removeAll(names, damagedSuffix)
}

// Receive stores the file of another node, which has the given size, as this folder's.
// If it returns no error, the whole file was checked, is durable, and is visible.
func (s *Store) Receive(in io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error) {
	tmp := s.tmpName()
	meta, err := s.receive(tmp, in, sizeBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receive snapshot: %w", err), s.fs.Remove(tmp))
	}
	if err := disk.Publish(s.fs, tmp, s.name(meta.GetIndex(), meta.GetTerm())); err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	s.came(meta)
	return meta, nil
}

func (s *Store) receive(tmp string, in io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error) {
	f, err := s.fs.Create(tmp)
	if err != nil {
		return nil, err
	}
	meta, err := s.copyIn(&disk.Paced{File: f}, io.LimitReader(in, sizeBytes), sizeBytes)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return meta, verify(s.fs, tmp)
}

// copyIn copies another node's file, with a head of this folder in place of the other's.
func (s *Store) copyIn(out io.Writer, in io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error) {
	theirs, err := readAnyHead(start{in})
	if err != nil {
		return nil, err
	}
	if theirs.owned && theirs.owner.Cluster != s.options.Owner.Cluster {
		return nil, fmt.Errorf("it is of another cluster: %w", ErrCorrupt)
	}
	ours, err := appendHead(nil, s.options.Owner, theirs.meta)
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(ours); err != nil {
		return nil, err
	}
	n, err := io.Copy(struct{ io.Writer }{out}, in)
	if n += int64(theirs.bytes); err == nil && n != sizeBytes {
		err = fmt.Errorf("%d of %d bytes came: %w", n, sizeBytes, ErrCorrupt)
	}
	return theirs.meta, err
}
