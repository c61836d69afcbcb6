package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"raftcached/replication/disk"
)

const (
	fileName      = "identity"
	lockName      = "LOCK"
	formatVersion = 7
)

// What older versions lack. Version 2 knows no client ports either.
const (
	versionWithoutFloor  = 1 // no floor, no incarnations, and nothing of other folders
	versionWithoutOwners = 3 // its segments and snapshots did not say whose they are
	versionWithoutRaised = 6 // the cluster version was never raised; written until it is, so that an older program can read it
)

// file is the contents of the identity file.
type file struct {
	Version     int         `json:"version"`
	ServerID    int         `json:"serverId"`
	DirectoryID DirectoryID `json:"directoryId"`
	Lineage                 // its Boot stood here in version 1 too
	Cluster     *Cluster    `json:"cluster,omitempty"` // nil until formed
	Floor       Floor       `json:"floor"`
	Unowned     Unowned     `json:"unowned,omitzero"`
	Seen        Memory      `json:"seen,omitempty"` // of other folders
	Recovery    *Recovery   `json:"recovery,omitempty"`
	Claim       []string    `json:"claim,omitempty"` // see KeepClaim
}

// Identity is an open data folder's identity.
type Identity struct {
	fs   disk.FS
	dir  string
	lock io.Closer

	saving     sync.Mutex // held while the file is written; taken before mu
	spareBytes int64      // that this process knows to be reserved; guarded by saving
	soon       later

	mu   sync.Mutex // guards file
	file file
}

// ErrInUse reports that another process uses the data folder.
var ErrInUse = errors.New("it is in use by another process")

// ErrLost reports that a data folder is not what it was: its identity is damaged, or
// missing beside a log. Nothing in it can be relied on.
var ErrLost = errors.New("it cannot be trusted")

// ErrUnfinished reports that the recovery of a data folder was interrupted.
var ErrUnfinished = errors.New("its recovery was interrupted: run `raftcachectl recover` on it again")

// Open locks the data folder, creating it if needed, and adds a start to its lineage,
// durably: nothing was said with that boot number and incarnation before.
// Its errors are meant for the operator; the program adds what helps against ErrLost.
func Open(fs disk.FS, dir string, serverID int, random io.Reader) (*Identity, error) {
	if err := disk.MakeDir(fs, dir); err != nil {
		return nil, err
	}
	l, err := lock(fs, dir)
	if err != nil {
		return nil, err
	}
	id := &Identity{fs: fs, dir: dir, lock: l}
	id.soon.save = id.save
	if err := id.load(serverID, random); err != nil {
		return nil, errors.Join(err, id.lock.Close())
	}
	return id, nil
}

func lock(fs disk.FS, dir string) (io.Closer, error) {
	l, err := fs.Lock(filepath.Join(dir, lockName))
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("data folder %q: %w: stop that one, or choose another folder", dir, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder %q: %w", dir, err)
	}
	return l, nil
}

func (id *Identity) load(serverID int, random io.Reader) error {
	b, err := disk.ReadFile(id.fs, id.name())
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		if err := id.refuseLeftovers(); err != nil {
			return err
		}
		id.file.ServerID = serverID
		if _, err := io.ReadFull(random, id.file.DirectoryID[:]); err != nil {
			return fmt.Errorf("choose directory id: %w", err)
		}
	case err != nil:
		return err
	default:
		if err := id.decode(b); err != nil {
			return err
		}
	}
	if r := id.file.Recovery; r != nil && r.Unfinished {
		return fmt.Errorf("data folder %q: %w", id.dir, ErrUnfinished)
	}
	if id.file.ServerID != serverID {
		return fmt.Errorf("data folder %q belongs to server %d, not to server %d: give each server a folder of its own; if that of server %d is lost, run `raftcachectl member replace %d` at another server",
			id.dir, id.file.ServerID, serverID, serverID, serverID)
	}
	next, err := id.file.next(random)
	if err != nil {
		return err
	}
	id.file.Lineage = next
	return id.save()
}

// refuseLeftovers returns an error if a folder without an identity holds data: a log
// whose owner is unknown must not become that of a new node.
func (id *Identity) refuseLeftovers() error {
	names, err := id.fs.List(id.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "wal" || name == "snap" {
			return fmt.Errorf("data folder %q holds a log but no file %q, so nobody knows whose log it is: %w", id.dir, fileName, ErrLost)
		}
	}
	return nil
}

func (id *Identity) name() string { return filepath.Join(id.dir, fileName) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// save durably writes the file. What was set before the call is on disk after it.
func (id *Identity) save() error {
	id.saving.Lock()
	defer id.saving.Unlock()
	id.mu.Lock()
	id.file.Version = id.file.format()
	line, err := json.Marshal(&id.file)
	id.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	b := fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, castagnoli))
	return id.write(b)
}

// decode takes over the contents of an identity file.
func (id *Identity) decode(b []byte) (err error) {
	if id.file, err = decode(b); err != nil {
		return fmt.Errorf("identity file %q: %w", id.name(), err)
	}
	id.file.upgrade()
	return nil
}

func decode(b []byte) (f file, err error) {
	line, sum, found := bytes.Cut(b, []byte("\n"))
	if !found || string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)) {
		return f, fmt.Errorf("it is damaged: %w", ErrLost)
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return f, fmt.Errorf("decode: %w", err)
	}
	if f.Version > formatVersion {
		return f, fmt.Errorf("version is %d, this program knows %d: run a newer raftcached", f.Version, formatVersion)
	}
	return f, nil
}

// upgrade makes an older version the present one. A formed folder of version 1 has a
// log with at least one segment.
func (f *file) upgrade() {
	if f.Version == versionWithoutFloor && f.Cluster != nil {
		f.Floor.Segment = 1
	}
	if f.Version <= versionWithoutOwners {
		f.Unowned = Unowned{Segment: math.MaxUint64, Snapshot: math.MaxUint64}
	}
	f.Version = f.format()
}

// format is the version that the file is written in.
func (f *file) format() int {
	if f.Cluster.ClusterVersion() > 1 {
		return formatVersion
	}
	return versionWithoutRaised
}

// Boot is the number of this start of the node. It is never used again.
func (id *Identity) Boot() uint64 { return id.file.Boot }

// DirectoryID is the id of the data folder.
func (id *Identity) DirectoryID() DirectoryID { return id.file.DirectoryID }

// Cluster returns the cluster that the node is a member of, or nil if it was
// never formed.
func (id *Identity) Cluster() *Cluster {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Cluster
}

// Form durably makes the node a member of the cluster.
func (id *Identity) Form(c Cluster) error {
	if id.Cluster() != nil {
		return errors.New("the node is a member of a cluster already")
	}
	id.mu.Lock()
	id.file.Cluster = &c
	id.mu.Unlock()
	return id.save()
}

// KeepClaim durably notes where a cluster may be asked that looks for this node, while
// that is of none: it must not form another one.
func (id *Identity) KeepClaim(addrs []string) error {
	id.mu.Lock()
	id.file.Claim = addrs
	id.mu.Unlock()
	return id.save()
}

// Claim returns what KeepClaim has noted.
func (id *Identity) Claim() []string {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Claim
}

// LostClusters returns the clusters that were lost, and recovered as this node's.
func (id *Identity) LostClusters() []uint64 {
	lost := id.Recovery().LostClusters()
	if c := id.Cluster(); c != nil {
		lost = append(lost, c.Lost...)
	}
	return lost
}

// KeepRoster replaces the roster, if the new one is a later one that has this data
// folder: a server that was removed is started again to be told so, and finds in the one
// before where it listens. It is written soon, on a goroutine of its own. Any goroutine
// may call it. The roster must not be changed.
func (id *Identity) KeepRoster(r *Roster) error {
	id.mu.Lock()
	c := id.file.Cluster
	isMember := slices.ContainsFunc(r.Members, func(m Member) bool { return m.DirectoryID == id.file.DirectoryID })
	if c == nil || !isMember || c.Roster != nil && (c.Roster.Version > r.Version || c.Roster.Version == r.Version && c.ClusterVersion() >= r.ClusterVersion) {
		id.mu.Unlock()
		return nil
	}
	next := *c                                                           // others may hold the one before
	if before := c.ClusterVersion(); before > max(1, r.ClusterVersion) { // a peer's, which does not tell it
		kept := *r
		kept.ClusterVersion, r = before, &kept
	}
	next.Roster = r
	id.file.Cluster = &next
	id.mu.Unlock()
	return id.soon.do(0)
}

// Close writes down what waits for it, and unlocks the data folder.
func (id *Identity) Close() error { return errors.Join(id.soon.close(), id.lock.Close()) }
