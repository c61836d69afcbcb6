package admin

import "time"

// StatusVersion is the version of Status. Fields may be added to a version; one
// that changes its meaning or vanishes makes the next version.
const StatusVersion = 1

// The states of a server.
const (
	StateOK         = "ok"          // it serves clients, and a majority has confirmed that just now
	StateStarting   = "starting"    // it waits for the first start of all servers, or reads its log
	StateCatchingUp = "catching up" // it has not applied yet what the leader has
	StateNoMajority = "no majority" // it knows no leader, or a majority does not answer the leader
	StateQuarantine = "quarantine"  // a majority has another state: it is fetched anew
	StateDiffer     = "states differ"
	StateRemoved    = "removed" // it is no member any more, or another data folder has its place
	StateStopping   = "stopping"
	StateRestoring  = "restoring" // a backup is being restored: no server takes clients' writes
)

// The values of Disk.Space.
const (
	SpaceAmple = "ample"
	SpaceTight = "tight" // the raft log is kept short
	SpaceLow   = "low"   // less than the reserve
)

// The values of Status.Lease.
const (
	LeaseLeader = "leader" // it leads, and no other server can before the lease ends
	LeaseHolder = "holder" // the leader has granted it one
	LeaseNone   = "none"   // each read waits for a majority
	LeaseOff    = "off"    // so, because the cluster has no leases
)

// The values of Status.WritesRefused.
const (
	RefusedDiskFull    = "disk full"
	RefusedDiskStalled = "disk stalled"
)

// Status is what a server knows of itself and sees of the others. Ids are those of
// server.json.
type Status struct {
	StatusVersion int    `json:"statusVersion"`
	Cluster       string `json:"cluster"` // 16 hexadecimal digits; empty before it was formed
	ID            int    `json:"id"`

	State  string `json:"state"`            // one of the constants State…
	Reason string `json:"reason,omitempty"` // one sentence; empty if State is StateOK, unless writes are refused

	Role     string `json:"role"`     // leader, follower, candidate or learner; empty while it starts
	LeaderID int    `json:"leaderId"` // -1: none is known
	Term     uint64 `json:"term"`
	Commit   uint64 `json:"commitIndex"`
	Applied  uint64 `json:"appliedIndex"`
	LastLog  uint64 `json:"lastLogIndex"`

	// WritesRefused is why new writes are refused, one of the constants Refused…; empty
	// if they are not, or if State says why. Reads are answered.
	WritesRefused string `json:"writesRefused,omitempty"`

	// Leases is which servers may answer reads without asking the others: off, leader or
	// all. Lease is whether this one may now, one of the constants Lease…
	Leases string `json:"leases,omitempty"`
	Lease  string `json:"lease,omitempty"`

	// ClusterVersion is what all servers can do, as far as this one has applied the log,
	// ClusterVersionKnown what its program can, and ClusterVersionMax what it tells the
	// others of that. They are absent while the server starts, and of an older program.
	ClusterVersion      uint64 `json:"clusterVersion,omitempty"`
	ClusterVersionKnown uint64 `json:"clusterVersionKnown,omitempty"`
	ClusterVersionMax   uint64 `json:"clusterVersionMax,omitempty"`

	Memory Memory `json:"memory"`
	Disk   *Disk  `json:"disk,omitempty"` // nil: unknown

	Version       string    `json:"version"` // of the program
	StartedAt     time.Time `json:"startedAt"`
	UptimeSeconds int64     `json:"uptimeSeconds"`

	Verdict string   `json:"verdict"` // on the state: ok, repairing or no-majority
	Digests []Digest `json:"digests"` // of the state at recent indexes, ascending

	// Servers is the whole cluster, by id, as this server has applied its log; a server
	// that was removed is not in it. MembersVersion counts its changes.
	Servers        []Member `json:"servers"`
	MembersVersion uint64   `json:"membersVersion"`

	// Voters is how many votes there are, that of a retired data folder included until
	// another one takes it over; Majority is how many of them are needed.
	Voters   int `json:"voters"`
	Majority int `json:"majority"`

	Figures *Figures `json:"figures,omitempty"` // if they are asked for; nil also while the server starts

	Guarded bool `json:"guarded,omitempty"` // who comes in must know the cluster's secret
	Secured bool `json:"secured,omitempty"` // and show a certificate

	TLS []PortTLS `json:"tls,omitempty"` // the ports that are in TLS
}

// PortTLS is what a server knows of TLS at one of its ports. Counts are since its start.
type PortTLS struct {
	Port        string    `json:"port"`     // client, log or admin
	NotAfter    time.Time `json:"notAfter"` // until when its certificate is valid, and those between it and its authority
	ExpiresSoon bool      `json:"expiresSoon,omitempty"`

	// When the first of the authorities expires that are believed at the port, of those that
	// have not yet; absent if nobody's certificates are looked at.
	AuthorityNotAfter    time.Time `json:"authorityNotAfter,omitzero"`
	AuthorityExpiresSoon bool      `json:"authorityExpiresSoon,omitempty"`

	Handshakes uint64            `json:"handshakes"`       // that have succeeded
	Failed     map[string]uint64 `json:"failed,omitempty"` // by reason

	// How often the files were read again. The log and the admin port have theirs in common.
	Reloads       uint64 `json:"reloads,omitempty"`
	ReloadsFailed uint64 `json:"reloadsFailed,omitempty"`
}

// Ready reports whether the server serves clients.
func (s *Status) Ready() bool { return s.State == StateOK }

// awaitsVote reports whether the server has no vote and is to get one.
func (s *Status) awaitsVote() bool {
	for i := range s.Servers {
		if m := &s.Servers[i]; m.Self {
			return m.Learner && !m.Stays
		}
	}
	return false
}

// Memory is the use of the memory for items.
type Memory struct {
	Items      int64 `json:"items"`
	Bytes      int64 `json:"bytes"`
	LimitBytes int64 `json:"limitBytes"`

	// Digest is of the items, whatever their order: 16 hexadecimal digits, equal
	// where the same items are held, in another cluster too.
	Digest string `json:"digest"`
}

// Disk is the room of the file system that the data folder is in.
type Disk struct {
	FreeBytes    int64  `json:"freeBytes"`
	TotalBytes   int64  `json:"totalBytes"`
	ReserveBytes int64  `json:"reserveBytes,omitempty"` // less is low; absent while the server starts
	Space        string `json:"space,omitempty"`        // one of the constants Space…
	LogBytes     int64  `json:"logBytes,omitempty"`     // that the raft log takes
}

// Digest is the digest of the replicated state at an index of the log. States of
// one index are equal if both numbers are.
type Digest struct {
	Index    uint64 `json:"index"`
	Contents string `json:"contents"` // 16 hexadecimal digits
	Order    string `json:"order"`    // likewise
}

// Member is a server of the cluster, as the server that answers sees it.
type Member struct {
	ID           int    `json:"id"`
	Address      string `json:"address"`                // host:port for clients
	LogAddress   string `json:"logAddress,omitempty"`   // host:port for the other servers
	AdminAddress string `json:"adminAddress,omitempty"` // host:port of its admin port, if it has one

	Learner bool `json:"learner,omitempty"` // it has no vote, yet or for good
	Stays   bool `json:"stays,omitempty"`   // it is not to get one: a read replica
	Awaited bool `json:"awaited,omitempty"` // no data folder has come yet

	// Replaced tells that its former data folder is retired. That has a vote which
	// nobody can use, until the new one takes it over.
	Replaced bool `json:"replaced,omitempty"`

	Self      bool `json:"self"`
	Reachable bool `json:"reachable"` // there is a connection to it

	// Since is when Reachable became what it is; absent for the server itself.
	// Seconds is how long ago that was.
	Since   *time.Time `json:"since,omitempty"`
	Seconds float64    `json:"seconds,omitempty"`
	Why     string     `json:"why,omitempty"` // why it cannot be reached

	// HeardSeconds is how long ago something last came from it; absent if that is never
	// or for the server itself.
	HeardSeconds *float64 `json:"heardSeconds,omitempty"`
}
