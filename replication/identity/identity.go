package identity

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"

	"raftcached/replication/disk"

	"github.com/cespare/xxhash/v2"
)

const (
	fileName      = "identity"
	lockName      = "LOCK"
	formatVersion = 1
)

// DirectoryID names a data folder.
type DirectoryID [16]byte

// String returns the id in hex.
func (d DirectoryID) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d DirectoryID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *DirectoryID) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(d) {
		return fmt.Errorf("directory id %q: want %d hex digits", b, 2*len(d))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// Member is one node of a cluster.
type Member struct {
	ServerID    int         `json:"serverId"` // the operator's, of server.json
	RaftID      uint64      `json:"raftId"`   // never 0, never used again
	DirectoryID DirectoryID `json:"directoryId"`
	Host        string      `json:"host"`
	LogPort     int         `json:"logPort"`
}

// Constants must be equal on all nodes when they form a cluster.
type Constants struct {
	Limits
	Ticks
}

// Limits are the initial limits of the state. Later only the log changes them; a
// node's configuration is ignored.
type Limits struct {
	MemoryLimitBytes int64 `json:"memoryLimitBytes"`
	ItemBytesMax     int64 `json:"itemBytesMax"`
	NoEvict          bool  `json:"noEvict"`
}

// Ticks are the units of raft's clock. They never change.
type Ticks struct {
	TickMs        int64 `json:"tickMs"`
	ElectionTicks int64 `json:"electionTicks"`
}

// Cluster is what the nodes agreed on when they formed it.
type Cluster struct {
	ID        uint64    `json:"id"` // never 0
	Constants Constants `json:"constants"`
	Members   []Member  `json:"members"` // by server id
}

// file is the contents of the identity file.
type file struct {
	Version     int         `json:"version"`
	ServerID    int         `json:"serverId"`
	DirectoryID DirectoryID `json:"directoryId"`
	Boot        uint64      `json:"boot"`
	Cluster     *Cluster    `json:"cluster,omitempty"` // nil until formed
}

// Identity is an open data folder's identity.
type Identity struct {
	fs   disk.FS
	dir  string
	lock io.Closer
	file file
}

// ErrInUse reports that another process uses the data folder.
var ErrInUse = errors.New("it is in use by another process")

// Open locks the data folder, creating it if needed, and increments its boot number.
// Its errors are meant for the operator.
func Open(fs disk.FS, dir string, serverID int, random io.Reader) (*Identity, error) {
	if err := disk.MakeDir(fs, dir); err != nil {
		return nil, err
	}
	lock, err := fs.Lock(filepath.Join(dir, lockName))
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("data folder %q: %w: stop that one, or choose another folder", dir, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder %q: %w", dir, err)
	}
	id := &Identity{fs: fs, dir: dir, lock: lock}
	if err := id.load(serverID, random); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return id, nil
}

func (id *Identity) load(serverID int, random io.Reader) error {
	b, err := disk.ReadFile(id.fs, id.name())
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		if err := id.refuseLeftovers(); err != nil {
			return err
		}
		id.file = file{Version: formatVersion, ServerID: serverID}
		if _, err := io.ReadFull(random, id.file.DirectoryID[:]); err != nil {
			return fmt.Errorf("choose directory id: %w", err)
		}
	case err != nil:
		return err
	default:
		if id.file, err = decode(b); err != nil {
			return fmt.Errorf("identity file %q: %w", id.name(), err)
		}
	}
	if id.file.ServerID != serverID {
		return fmt.Errorf("data folder %q belongs to server %d, not to server %d: give each server a folder of its own", id.dir, id.file.ServerID, serverID)
	}
	id.file.Boot++
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
			return fmt.Errorf("data folder %q holds a log but no identity file: restore the file %q, or remove the folder to start as a new node", id.dir, fileName)
		}
	}
	return nil
}

func (id *Identity) name() string { return filepath.Join(id.dir, fileName) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (id *Identity) save() error {
	line, err := json.Marshal(id.file)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	b := fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, castagnoli))
	return disk.WriteFileAtomic(id.fs, id.name(), b)
}

func decode(b []byte) (f file, err error) {
	line, sum, found := bytes.Cut(b, []byte("\n"))
	if !found || string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)) {
		return f, errors.New("it is damaged")
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return f, fmt.Errorf("decode: %w", err)
	}
	if f.Version != formatVersion {
		return f, fmt.Errorf("version is %d, this program knows %d: run a newer raftcached", f.Version, formatVersion)
	}
	return f, nil
}

// Boot is the number of this start of the node. It is never used again.
func (id *Identity) Boot() uint64 { return id.file.Boot }

// DirectoryID is the id of the data folder.
func (id *Identity) DirectoryID() DirectoryID { return id.file.DirectoryID }

// Cluster returns the cluster that the node is a member of, or nil if it was
// never formed.
func (id *Identity) Cluster() *Cluster { return id.file.Cluster }

// Form durably makes the node a member of the cluster.
func (id *Identity) Form(c Cluster) error {
	if id.file.Cluster != nil {
		return errors.New("the node is a member of a cluster already")
	}
	id.file.Cluster = &c
	return id.save()
}

// Close unlocks the data folder.
func (id *Identity) Close() error { return id.lock.Close() }

// NewCluster returns the cluster of the given members. Its id is a hash of the sorted
// (server id, directory id) pairs: all nodes compute the same id, and no other
// cluster has it.
func NewCluster(constants Constants, members []Member) Cluster {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ServerID, b.ServerID) })
	var b []byte
	for _, m := range members {
		b = binary.BigEndian.AppendUint64(b, uint64(m.ServerID))
		b = append(b, m.DirectoryID[:]...)
	}
	return Cluster{ID: max(1, xxhash.Sum64(b)), Constants: constants, Members: members}
}
