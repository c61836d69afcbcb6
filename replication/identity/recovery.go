package identity

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"raftcached/replication/disk"
)

// Recovery is how a data folder of a cluster that has lost its majority became the
// first one of another cluster.
type Recovery struct {
	Cluster     uint64      `json:"cluster"`           // the lost one
	Earlier     []uint64    `json:"earlier,omitempty"` // clusters that were lost before it
	DirectoryID DirectoryID `json:"directoryId"`
	Index       uint64      `json:"index"` // the last entry that it had
	Term        uint64      `json:"term"`

	// The files of the new cluster: its log begins with segment FirstSegment, after the
	// snapshot. While the recovery is unfinished some have yet to get their names, and
	// those of the lost cluster may still be there.
	Unfinished   bool   `json:"unfinished,omitempty"`
	FirstSegment uint64 `json:"firstSegment"`
	SnapshotTerm uint64 `json:"snapshotTerm"` // of Index
}

// Lock locks a data folder that is there, whose server must not run.
func Lock(fs disk.FS, dir string) (io.Closer, error) {
	if _, err := fs.List(dir); err != nil {
		return nil, fmt.Errorf("data folder %q: %w", dir, err)
	}
	return lock(fs, dir)
}

// Read reads the identity of a data folder that the caller has locked, and changes
// nothing: it is no start. ErrUnfinished is not returned, see Recovery.
func Read(fs disk.FS, dir string) (*Identity, error) {
	id := &Identity{fs: fs, dir: dir}
	id.soon.save = id.save
	b, err := disk.ReadFile(fs, id.name())
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("%q is no data folder: it has no file %q: %w", dir, fileName, ErrLost)
	}
	if err != nil {
		return nil, err
	}
	return id, id.decode(b)
}

// OpenOffline locks a data folder whose server does not run, and reads its identity. Close
// unlocks it.
func OpenOffline(fs disk.FS, dir string) (*Identity, error) {
	if _, err := Read(fs, dir); err != nil { // a lock would make a file in any folder
		return nil, err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return nil, err
	}
	id, err := Read(fs, dir) // the process that had the lock may have written it meanwhile
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	id.lock = l
	return id, nil
}

// ServerID is the operator's id of the server that the folder belongs to.
func (id *Identity) ServerID() int { return id.file.ServerID }

// Seen returns the newest start that was seen of each other folder.
func (id *Identity) Seen() Memory {
	id.mu.Lock()
	defer id.mu.Unlock()
	return append(Memory(nil), id.file.Seen...)
}

// Recovery returns how the folder was recovered, or nil.
func (id *Identity) Recovery() *Recovery {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Recovery
}

// LostClusters returns the clusters that the folder was recovered from, the last one first.
func (r *Recovery) LostClusters() []uint64 {
	if r == nil {
		return nil
	}
	return append([]uint64{r.Cluster}, r.Earlier...)
}

// Renew returns the identity that the same folder will have after it was recovered: with
// a new directory id, in its first start, of no cluster. It is not written.
func (id *Identity) Renew(random io.Reader) (*Identity, error) {
	next := &Identity{fs: id.fs, dir: id.dir, lock: id.lock}
	next.soon.save = next.save
	next.file.ServerID = id.file.ServerID
	if _, err := io.ReadFull(random, next.file.DirectoryID[:]); err != nil {
		return nil, fmt.Errorf("choose directory id: %w", err)
	}
	lineage, err := next.file.next(random)
	next.file.Lineage = lineage
	return next, err
}

// Recover durably makes the identity that of the folder: it belongs to cluster c and has
// a log with this floor.
func (id *Identity) Recover(c Cluster, floor Floor, r Recovery) error {
	id.mu.Lock()
	id.file.Cluster, id.file.Floor, id.file.Recovery = &c, floor, &r
	id.mu.Unlock()
	return id.save()
}

// FinishRecovery durably notes that all files are in their places.
func (id *Identity) FinishRecovery() error {
	id.mu.Lock()
	done := *id.file.Recovery
	done.Unfinished = false
	id.file.Recovery = &done
	id.mu.Unlock()
	return id.save()
}
