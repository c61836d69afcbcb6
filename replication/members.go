package replication

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"raftcached/replication/frame"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// membersMax bounds the members of a cluster, those that are awaited included.
	membersMax = 64

	// hostBytesMax is the longest host name.
	hostBytesMax = 255

	// portMax is the highest TCP port.
	portMax = 1<<16 - 1
)

// DirectoryID names a data folder.
type DirectoryID [16]byte

// String returns the id in hex.
func (d DirectoryID) String() string { return hex.EncodeToString(d[:]) }

// Member is a server of the cluster: one data folder, by its raft id. A server id
// has two of them while an empty folder takes the place of another one.
type Member struct {
	ServerID   int         // the operator's
	RaftID     uint64      // never used again; 0: awaited, no folder has come yet
	Directory  DirectoryID // the folder; zero if it is awaited
	Host       string
	ClientPort int // 0: as the servers are configured
	LogPort    int

	Learner bool // gets the log and serves, but has no vote
	Stays   bool // a learner that is not promoted when it has caught up
	Retired bool // its folder may never be heard again; another one is to replace it
}

// Membership is who belongs to the cluster, and raft's configuration. It is part
// of the replicated state, and changes by log entries alone; see change.go. A
// Membership that was made known is never changed: any goroutine may read it.
//
// Invariant: a raft id below NextRaftID that no member has is that of a folder
// which was removed. It never comes back.
type Membership struct {
	Version    uint64 // counts changes; 0: as the cluster was formed
	NextRaftID uint64
	Members    []Member // by server id, then raft id
	Conf       *pb.ConfState

	// Settled tells that a majority of the voters knows, by what it has on disk, that
	// this version is committed; see ChangeSettle.
	Settled bool

	Leases Leases // LeasesFormed: never changed
	Raised uint64 // what the cluster version was raised to; 0: never; see ClusterVersion

	// promoted is the raft id of the member that has got its vote by this version. It is
	// not part of the state: 0 if a snapshot has brought the version.
	promoted uint64
}

// settled reports whether those who have a vote can do without everybody else.
func (m *Membership) settled() bool { return m.Version == 0 || m.Settled }

// formedMembership returns the membership that a log begins with: all members
// that formed the cluster vote.
func formedMembership(formed []Member) *Membership {
	m := &Membership{Members: slices.Clone(formed), Conf: &pb.ConfState{AutoLeave: new(false)}}
	for i := range m.Members {
		id := m.Members[i].RaftID
		m.NextRaftID = max(m.NextRaftID, id+1)
		m.Conf.Voters = append(m.Conf.Voters, id)
	}
	slices.Sort(m.Conf.Voters)
	return m
}

// Find returns the member with a raft id.
func (m *Membership) Find(raftID uint64) (Member, bool) {
	if i := m.at(raftID); i >= 0 {
		return m.Members[i], true
	}
	return Member{}, false
}

func (m *Membership) at(raftID uint64) int {
	return slices.IndexFunc(m.Members, func(o Member) bool { return raftID != 0 && o.RaftID == raftID })
}

// Removed reports whether a raft id belongs to a folder that was a member once, and
// never will be again.
func (m *Membership) Removed(raftID uint64) bool {
	return raftID != 0 && raftID < m.NextRaftID && m.at(raftID) < 0
}

// Excludes reports whether a raft id is that of a folder which was removed or retired.
func (m *Membership) Excludes(raftID uint64) bool {
	o, _ := m.Find(raftID)
	return o.Retired || m.Removed(raftID)
}

// ErrRetired tells that a data folder may not take part any more.
var ErrRetired = errors.New("the cluster goes on without this data folder")

// Admits reports whether what a data folder sends under a raft id may be
// heard: nil, or an error that wraps ErrRetired. A raft id that is not given out yet, as
// far as this membership knows, may be that of a newer member.
func (m *Membership) Admits(raftID uint64, d DirectoryID) error {
	i := m.at(raftID)
	switch {
	case i < 0 && raftID >= m.NextRaftID:
		return nil
	case i < 0:
		return fmt.Errorf("%w: its server was removed, or another folder has its place", ErrRetired)
	case m.Members[i].Retired:
		return fmt.Errorf("%w: an empty folder is to take the place of server %d's", ErrRetired, m.Members[i].ServerID)
	case m.Members[i].Directory != d:
		return fmt.Errorf("%w: server %d has another one", ErrRetired, m.Members[i].ServerID)
	}
	return nil
}

// of returns what is said of a server.
func (m *Membership) of(serverID int) (list []Member) {
	for _, o := range m.Members {
		if o.ServerID == serverID {
			list = append(list, o)
		}
	}
	return list
}

// about returns what is said of the server that a change is about.
func (m *Membership) about(c *MemberChange) []Member {
	if c.Kind == ChangeLeases || c.Kind == ChangeVersion {
		return nil
	}
	return m.of(c.ServerID)
}

// joint reports whether raft is between two configurations.
func (m *Membership) joint() bool { return len(m.Conf.GetVotersOutgoing()) > 0 }

// TakesOver reports whether a member's folder is about to take over the vote of one that
// is retired: until raft has left the joint configuration, both count for majorities.
func (m *Membership) TakesOver(raftID uint64) bool {
	return m.joint() && m.votes(raftID) && !slices.Contains(m.Conf.GetVotersOutgoing(), raftID)
}

// Promotes reports whether a member's vote is of this version, and the version is not
// settled yet: it is no news that others can rely on.
func (m *Membership) Promotes(raftID uint64) bool {
	return raftID != 0 && raftID == m.promoted && !m.settled()
}

// sole reports whether a raft id is the only one with a vote.
func (m *Membership) sole(id uint64) bool {
	v := m.Conf.GetVoters()
	return len(v) == 1 && v[0] == id && !m.joint()
}

// votes reports whether a raft id has a vote.
func (m *Membership) votes(id uint64) bool { return slices.Contains(m.Conf.GetVoters(), id) }

// peersOf returns the raft ids of the other members that may be heard.
func (m *Membership) peersOf(self uint64) (ids []uint64) {
	for i := range m.Members {
		if o := &m.Members[i]; o.RaftID != 0 && o.RaftID != self && !o.Retired {
			ids = append(ids, o.RaftID)
		}
	}
	return ids
}

// inConf reports whether raft's configuration has a node in any part.
func inConf(cs *pb.ConfState, id uint64) bool {
	return slices.Contains(cs.GetVoters(), id) || slices.Contains(cs.GetLearners(), id) || slices.Contains(cs.GetVotersOutgoing(), id)
}

// digest hashes the membership. As long as nothing has changed it is 0: it is
// that of the formation, which all nodes have in common.
func (m *Membership) digest() uint64 {
	if m.Version == 0 {
		return 0
	}
	return xxhash.Sum64(m.append(nil))
}

// append appends the encoding of m to dst, see doc.go.
func (m *Membership) append(dst []byte) []byte {
	fields := membershipFields
	if m.Raised == 0 { // programs that know no cluster version have to read, and to digest, the same
		fields--
	}
	dst = frame.AppendArrayLen(dst, fields)
	dst = frame.AppendUint(dst, m.Version)
	dst = frame.AppendUint(dst, m.NextRaftID)
	dst = frame.AppendArrayLen(dst, len(m.Members))
	for i := range m.Members {
		dst = m.Members[i].append(dst)
	}
	dst = frame.AppendArrayLen(dst, 5)
	for _, ids := range [][]uint64{m.Conf.GetVoters(), m.Conf.GetLearners(), m.Conf.GetVotersOutgoing(), m.Conf.GetLearnersNext()} {
		dst = frame.AppendArrayLen(dst, len(ids))
		for _, id := range ids {
			dst = frame.AppendUint(dst, id)
		}
	}
	dst = frame.AppendBool(dst, m.Conf.GetAutoLeave())
	dst = frame.AppendBool(dst, m.Settled)
	dst = frame.AppendUint(dst, uint64(m.Leases))
	if m.Raised > 0 {
		dst = frame.AppendUint(dst, m.Raised)
	}
	return dst
}

func (o *Member) append(dst []byte) []byte {
	dst = frame.AppendArrayLen(dst, memberFields)
	dst = frame.AppendUint(dst, uint64(o.ServerID))
	dst = frame.AppendUint(dst, o.RaftID)
	dst = frame.AppendBytes(dst, o.Directory[:])
	dst = frame.AppendString(dst, o.Host)
	dst = frame.AppendUint(dst, uint64(o.ClientPort))
	dst = frame.AppendUint(dst, uint64(o.LogPort))
	dst = frame.AppendBool(dst, o.Learner)
	dst = frame.AppendBool(dst, o.Stays)
	return frame.AppendBool(dst, o.Retired)
}

const (
	membershipFields = 7 // of a snapshot of version 5; each one before has one less
	memberFields     = 9
)

// memberReader reads values until the first error.
type memberReader struct {
	*frame.Reader
	err error
}

func (r *memberReader) array(limit int) (n int) {
	if r.err == nil {
		n, r.err = r.ArrayLen(limit)
	}
	return n
}

// fields insists on an array of n.
func (r *memberReader) fields(n int) {
	if got := r.array(n); r.err == nil && got != n {
		r.err = fmt.Errorf("array of %d, want %d: %w", got, n, errMalformed)
	}
}

func (r *memberReader) uint(limit uint64) (v uint64) {
	if r.err == nil {
		if v, r.err = r.Uint64(); r.err == nil && v > limit {
			r.err = fmt.Errorf("number %d, at most %d expected: %w", v, limit, errMalformed)
		}
	}
	return v
}

func (r *memberReader) bool() (v bool) {
	if r.err == nil {
		v, r.err = r.Bool()
	}
	return v
}

func (r *memberReader) text() (v string) {
	if r.err == nil {
		v, r.err = r.String(hostBytesMax)
	}
	return v
}

func (r *memberReader) directory() (d DirectoryID) {
	if r.err == nil {
		var b []byte
		if b, r.err = r.Bytes(len(d)); r.err == nil && copy(d[:], b) != len(d) {
			r.err = fmt.Errorf("directory id of %d bytes: %w", len(b), errMalformed)
		}
	}
	return d
}

// readMembership decodes what append wrote. A snapshot of version 2 does not tell
// whether it is settled: none was then. Before version 4 leases were as formed, and
// before version 5 the cluster version.
func readMembership(from *frame.Reader, version uint64) (*Membership, error) {
	r := memberReader{Reader: from}
	r.fields(membershipFields - int(snapshotRaised-version))
	m := &Membership{Version: r.uint(1<<63 - 1), NextRaftID: r.uint(1<<63 - 1), Conf: &pb.ConfState{}}
	for range r.array(membersMax) {
		r.fields(memberFields)
		m.Members = append(m.Members, Member{
			ServerID: int(r.uint(1 << 31)), RaftID: r.uint(1<<63 - 1), Directory: r.directory(),
			Host: r.text(), ClientPort: int(r.uint(portMax)), LogPort: int(r.uint(portMax)),
			Learner: r.bool(), Stays: r.bool(), Retired: r.bool(),
		})
	}
	r.fields(5)
	for _, ids := range []*[]uint64{&m.Conf.Voters, &m.Conf.Learners, &m.Conf.VotersOutgoing, &m.Conf.LearnersNext} {
		for range r.array(membersMax) {
			*ids = append(*ids, r.uint(1<<63-1))
		}
	}
	m.Conf.AutoLeave = new(r.bool())
	m.Settled = version >= snapshotSettled && r.bool()
	if version >= snapshotLeases {
		m.Leases = Leases(r.uint(uint64(leasesEnd) - 1))
	}
	if version >= snapshotRaised {
		m.Raised = r.uint(1<<63 - 1)
	}
	if r.err != nil {
		return nil, fmt.Errorf("read members: %w", r.err)
	}
	return m, nil
}
