package identity

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
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
	ClientPort  int         `json:"clientPort,omitempty"` // 0: as the servers are configured
	LogPort     int         `json:"logPort"`

	// What may have become of a member since the cluster was formed.
	Learner bool `json:"learner,omitempty"` // it has no vote
	Stays   bool `json:"stays,omitempty"`   // a learner that is to get none
	Retired bool `json:"retired,omitempty"` // another folder is to take its place
}

// Constants must be equal on all nodes when they form a cluster.
type Constants struct {
	Limits
	Ticks
	Leases Leases `json:"leases,omitempty"`
}

// Leases is which nodes may answer reads without asking a majority, as long as the log has
// not changed it: see Roster. A cluster that was formed before there were leases has
// LeasesOff.
type Leases string

// The values of Leases.
const (
	LeasesOff    Leases = ""
	LeasesLeader Leases = "leader"
	LeasesAll    Leases = "all" // the leader grants them to all others
)

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

// Cluster is what the nodes agreed on when they formed it, and what became of that.
type Cluster struct {
	ID        uint64    `json:"id"` // never 0
	Constants Constants `json:"constants"`
	Members   []Member  `json:"members"`          // by server id
	RaftID    uint64    `json:"raftId,omitempty"` // of this folder, if it joined later; else 0
	Roster    *Roster   `json:"roster,omitempty"`
	Lost      []uint64  `json:"lost,omitempty"` // clusters that were recovered as this one, if this folder joined later
}

// ClusterVersion is the cluster version as it was last noted; 1: it was never raised.
func (c *Cluster) ClusterVersion() uint64 {
	if c == nil || c.Roster == nil {
		return 1
	}
	return max(1, c.Roster.ClusterVersion)
}

// Roster is who belonged to the cluster when this server last noted it. The log is the
// truth: this is where the others are looked for until that is read.
type Roster struct {
	Version    uint64   `json:"version"` // counts changes of the members
	NextRaftID uint64   `json:"nextRaftId"`
	Members    []Member `json:"members"` // those that are awaited have raft id 0

	// Leases is off, leader or all if the log has changed what the cluster was formed with.
	Leases string `json:"leases,omitempty"`

	// ClusterVersion is what the log has raised the cluster version to; up to 1: nothing.
	ClusterVersion uint64 `json:"clusterVersion,omitempty"`
}

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
