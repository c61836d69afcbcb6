package replication

import (
	"errors"
	"fmt"
	"slices"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// ChangeKind is what a change of the members does.
type ChangeKind uint8

// The kinds.
const (
	// ChangePrepare makes room for a server: it is awaited.
	ChangePrepare ChangeKind = iota + 1
	// ChangeReplace retires a server's data folder for good. Another one is awaited
	// in its place. A folder that votes still counts for majorities, and so never
	// has fewer of them than before, until ChangePromote.
	ChangeReplace
	// ChangeAdmit gives an awaited server's data folder a raft id. It is a learner.
	ChangeAdmit
	// ChangePromote gives a learner a vote. If it replaces another folder it takes
	// the vote over, in one joint change.
	ChangePromote
	// ChangeRemove removes a server.
	ChangeRemove
	// ChangeMove changes a server's host and ports.
	ChangeMove
	// ChangeSettle follows every other change: the leader proposes it once it has
	// applied that one. Who has it in the log learned with it that the change before it
	// is committed. So once it is committed itself, a majority of the new voters knows
	// that, and needs nobody who was removed.
	ChangeSettle
	// ChangeLeases changes which nodes may answer reads without asking a majority.
	ChangeLeases
	// ChangeVersion raises the cluster version. Only a leader asks for it.
	ChangeVersion
	changeEnd
)

// String names the kind.
func (k ChangeKind) String() string {
	return [...]string{"none", "prepare", "replace", "admit", "promote", "remove", "move", "settle", "leases", "version", "unknown"}[min(k, changeEnd)]
}

// MemberChange is one change of the members, as it stands in the log.
type MemberChange struct {
	Kind     ChangeKind
	Version  uint64 // of the Membership that is to be changed
	ID       uint64 // by which who asked for it knows the outcome; 0: nobody did
	ServerID int

	Directory           DirectoryID // ChangeAdmit
	Host                string      // ChangePrepare, ChangeReplace, ChangeMove
	ClientPort, LogPort int         // so
	Stays               bool        // ChangePrepare, ChangeReplace
	Leases              Leases      // ChangeLeases, which is about no server
	Raised              uint64      `json:",omitzero"` // ChangeVersion, which is about none either: what the cluster version is to be

	// Force has the leader propose it even if too few voters can be reached
	// afterwards. It is not in the log.
	Force bool
}

const (
	changeServers = 1 // version of a change of a server
	changeLeases  = 2 // of one of the leases, which has another field
	changeVersion = 3 // of one of the cluster version, which has another one

	changeFields = 11 // of versions 2 and 3; the first has one less
)

var (
	errRaced = errors.New("the members were changed meanwhile: look at them and try again")
	errJoint = errors.New("another change of the members is not complete yet: try again")
)

// encode returns the encoding of c, see doc.go.
func (c *MemberChange) encode() []byte {
	version, fields := uint64(changeServers), changeFields-1
	switch c.Kind {
	case ChangeLeases:
		version, fields = changeLeases, changeFields
	case ChangeVersion:
		version, fields = changeVersion, changeFields
	}
	dst := frame.AppendArrayLen(nil, fields)
	for _, v := range []uint64{version, uint64(c.Kind), c.Version, c.ID, uint64(c.ServerID)} {
		dst = frame.AppendUint(dst, v)
	}
	dst = frame.AppendBytes(dst, c.Directory[:])
	dst = frame.AppendString(dst, c.Host)
	dst = frame.AppendUint(dst, uint64(c.ClientPort))
	dst = frame.AppendUint(dst, uint64(c.LogPort))
	dst = frame.AppendBool(dst, c.Stays)
	switch version {
	case changeLeases:
		dst = frame.AppendUint(dst, uint64(c.Leases))
	case changeVersion:
		dst = frame.AppendUint(dst, c.Raised)
	}
	return dst
}

// readChange decodes the change that an entry of type EntryConfChangeV2 holds, or
// returns nil for the one with which raft leaves a joint configuration.
func readChange(data []byte) (*MemberChange, error) {
	if len(data) == 0 {
		return nil, nil
	}
	cc := new(pb.ConfChangeV2)
	if err := proto.Unmarshal(data, cc); err != nil {
		return nil, fmt.Errorf("decode change of members: %w", err)
	}
	return decodeChange(cc.GetContext())
}

// decodeChange decodes what encode wrote.
func decodeChange(b []byte) (*MemberChange, error) {
	from := frame.NewReader(b)
	r := memberReader{Reader: &from}
	n, v := r.array(fieldsMax), r.uint(1<<63-1)
	if r.err == nil && v > changeVersion {
		return nil, fmt.Errorf("change of members has version %d, this program knows %d: %w", v, changeVersion, ErrLater)
	}
	c := &MemberChange{
		Kind: ChangeKind(r.uint(uint64(changeEnd) - 1)), Version: r.uint(1<<63 - 1), ID: r.uint(1<<64 - 1),
		ServerID: int(r.uint(1 << 31)), Directory: r.directory(), Host: r.text(),
		ClientPort: int(r.uint(portMax)), LogPort: int(r.uint(portMax)), Stays: r.bool(),
	}
	want := changeFields
	switch v {
	case changeLeases:
		c.Leases = Leases(r.uint(uint64(leasesEnd) - 1))
	case changeVersion:
		c.Raised = r.uint(1<<63 - 1)
	default:
		want--
	}
	if r.err == nil && (n != want || v == 0) {
		r.err = fmt.Errorf("array of %d, want %d: %w", n, want, errMalformed)
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode change of members: %w", r.err)
	}
	return c, nil
}

// AppliedChange is a change of the members as it was applied, or refused alike on
// all nodes.
type AppliedChange struct {
	Index   uint64
	ID      uint64
	Conf    *pb.ConfChangeV2 // for raft; nil if it was refused
	Refused error
	Members *Membership // as of Index
}

// plan returns the membership that a change makes of m, and what raft is to
// change. It is what the leader proposes by and what all nodes apply by.
func (m *Membership) plan(c *MemberChange) (next *Membership, cc *pb.ConfChangeV2, err error) {
	switch {
	case c.Version != m.Version:
		return nil, nil, errRaced
	case m.joint():
		return nil, nil, errJoint
	}
	next = &Membership{Version: m.Version + 1, NextRaftID: m.NextRaftID, Members: slices.Clone(m.Members), Leases: m.Leases, Raised: m.Raised}
	var changes []*pb.ConfChangeSingle
	switch c.Kind {
	case ChangePrepare:
		err = next.prepare(c)
	case ChangeReplace:
		changes, err = next.replace(c)
	case ChangeAdmit:
		changes, err = next.admit(c)
	case ChangePromote:
		changes, err = next.promote(c)
	case ChangeRemove:
		changes, err = next.remove(c)
	case ChangeMove:
		err = next.move(c)
	case ChangeSettle:
		err = next.settle(m)
	case ChangeLeases:
		err = next.lease(c)
	case ChangeVersion:
		err = next.raise(c)
	default:
		err = fmt.Errorf("change of kind %d is unknown: run a newer raftcached", c.Kind)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(changes) == 0 { // an empty change would have raft leave a joint configuration
		changes = []*pb.ConfChangeSingle{change(pb.ConfChangeUpdateNode, 0)}
	}
	cc = &pb.ConfChangeV2{Changes: changes, Context: c.encode()}
	if next.Conf, err = nextConf(m.Conf, cc); err != nil {
		return nil, nil, err
	}
	return next, cc, nil
}

func change(t pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(id)}
}

// leave returns the membership after raft has left a joint configuration.
func (m *Membership) leave() (next *Membership, cc *pb.ConfChangeV2, err error) {
	cc = &pb.ConfChangeV2{}
	next = &Membership{Version: m.Version, NextRaftID: m.NextRaftID, Members: m.Members, Leases: m.Leases, Raised: m.Raised, promoted: m.promoted}
	next.Conf, err = nextConf(m.Conf, cc)
	return next, cc, err
}

// nextConf returns the configuration that raft makes of cs.
func nextConf(cs *pb.ConfState, cc *pb.ConfChangeV2) (*pb.ConfState, error) {
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: 1}
	var err error
	if changer.Tracker.Config, changer.Tracker.Progress, err = confchange.Restore(changer, cs); err != nil {
		return nil, fmt.Errorf("restore raft's configuration %v: %w", cs, err)
	}
	t := &changer.Tracker
	if cc.LeaveJoint() {
		t.Config, t.Progress, err = changer.LeaveJoint()
	} else if autoLeave, joint := cc.EnterJoint(); joint {
		t.Config, t.Progress, err = changer.EnterJoint(autoLeave, cc.GetChanges()...)
	} else {
		t.Config, t.Progress, err = changer.Simple(cc.GetChanges()...)
	}
	if err != nil {
		return nil, fmt.Errorf("change raft's configuration: %w", err)
	}
	return t.ConfState(), nil
}

// present returns the position of a server's member that is neither awaited nor
// retired, or -1.
func (m *Membership) present(serverID int) int {
	return slices.IndexFunc(m.Members, func(o Member) bool { return o.ServerID == serverID && o.RaftID != 0 && !o.Retired })
}

// awaited returns the position of a server's member that is awaited, or -1.
func (m *Membership) awaited(serverID int) int {
	return slices.IndexFunc(m.Members, func(o Member) bool { return o.ServerID == serverID && o.RaftID == 0 })
}

func (m *Membership) has(serverID int) bool {
	return slices.ContainsFunc(m.Members, func(o Member) bool { return o.ServerID == serverID })
}

// await adds an awaited member: before the others of its server, as the order of
// members has it.
func (m *Membership) await(o Member) error {
	if len(m.Members) >= membersMax {
		return fmt.Errorf("the cluster has %d members, no more are possible", len(m.Members))
	}
	i := slices.IndexFunc(m.Members, func(p Member) bool { return p.ServerID >= o.ServerID })
	if i < 0 {
		i = len(m.Members)
	}
	m.Members = slices.Insert(m.Members, i, o)
	return nil
}

func (m *Membership) prepare(c *MemberChange) error {
	if m.has(c.ServerID) {
		return fmt.Errorf("server %d is a member already: choose another id, or replace or remove that one", c.ServerID)
	}
	return m.await(Member{ServerID: c.ServerID, Host: c.Host, ClientPort: c.ClientPort, LogPort: c.LogPort, Stays: c.Stays})
}

func (m *Membership) replace(c *MemberChange) (changes []*pb.ConfChangeSingle, err error) {
	i := m.present(c.ServerID)
	if i < 0 {
		return nil, fmt.Errorf("server %d has no data folder in the cluster that could be replaced", c.ServerID)
	}
	old := m.Members[i]
	if old.Learner {
		m.Members = slices.Delete(m.Members, i, i+1)
		changes = append(changes, change(pb.ConfChangeRemoveNode, old.RaftID))
	} else {
		m.Members[i].Retired = true
	}
	next := Member{ServerID: c.ServerID, Host: c.Host, ClientPort: c.ClientPort, LogPort: c.LogPort, Stays: old.Stays}
	return changes, m.await(next)
}

func (m *Membership) admit(c *MemberChange) ([]*pb.ConfChangeSingle, error) {
	i := m.awaited(c.ServerID)
	switch {
	case i < 0:
		return nil, fmt.Errorf("no data folder of server %d is awaited", c.ServerID)
	case c.Directory == DirectoryID{}:
		return nil, fmt.Errorf("the data folder of server %d has no id", c.ServerID)
	case slices.ContainsFunc(m.Members, func(o Member) bool { return o.Directory == c.Directory }):
		return nil, fmt.Errorf("data folder %v is one of the cluster already", c.Directory)
	}
	o := m.Members[i]
	o.RaftID, o.Directory, o.Learner = m.NextRaftID, c.Directory, true
	m.NextRaftID++
	m.Members = slices.Delete(m.Members, i, i+1)
	last := i // behind the others of its server, as the order of members has it
	for last < len(m.Members) && m.Members[last].ServerID == o.ServerID {
		last++
	}
	m.Members = slices.Insert(m.Members, last, o)
	return []*pb.ConfChangeSingle{change(pb.ConfChangeAddLearnerNode, o.RaftID)}, nil
}

func (m *Membership) promote(c *MemberChange) ([]*pb.ConfChangeSingle, error) {
	i := m.present(c.ServerID)
	if i < 0 || !m.Members[i].Learner {
		return nil, fmt.Errorf("server %d is no learner", c.ServerID)
	}
	m.Members[i].Learner, m.Members[i].Stays = false, false
	m.promoted = m.Members[i].RaftID
	changes := []*pb.ConfChangeSingle{change(pb.ConfChangeAddNode, m.Members[i].RaftID)}
	return append(changes, m.drop(func(o *Member) bool { return o.ServerID == c.ServerID && o.Retired })...), nil
}

func (m *Membership) remove(c *MemberChange) ([]*pb.ConfChangeSingle, error) {
	if !m.has(c.ServerID) {
		return nil, fmt.Errorf("server %d is no member", c.ServerID)
	}
	return m.drop(func(o *Member) bool { return o.ServerID == c.ServerID }), nil
}

// drop removes members, and returns what that means to raft.
func (m *Membership) drop(which func(*Member) bool) (changes []*pb.ConfChangeSingle) {
	m.Members = slices.DeleteFunc(m.Members, func(o Member) bool {
		gone := which(&o)
		if gone && o.RaftID != 0 {
			changes = append(changes, change(pb.ConfChangeRemoveNode, o.RaftID))
		}
		return gone
	})
	return changes
}

// settle makes of m, which was to be the next version of before, that one settled.
func (m *Membership) settle(before *Membership) error {
	if before.settled() {
		return errors.New("the members are settled already")
	}
	m.Version, m.Settled = before.Version, true
	return nil
}

func (m *Membership) move(c *MemberChange) error {
	i := m.present(c.ServerID)
	if i < 0 {
		i = m.awaited(c.ServerID)
	}
	if i < 0 {
		return fmt.Errorf("server %d is no member", c.ServerID)
	}
	o := &m.Members[i]
	o.Host, o.ClientPort, o.LogPort = c.Host, c.ClientPort, c.LogPort
	return nil
}

func (m *Membership) lease(c *MemberChange) error {
	if c.Leases == LeasesFormed {
		return errors.New("say which leases there are to be: off, leader or all")
	}
	m.Leases = c.Leases
	return nil
}
