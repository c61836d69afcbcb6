package peer

import (
	"errors"
	"fmt"

	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

const (
	// membersMax bounds the list of members in a hello.
	membersMax = 256

	helloFields  = 19
	memberFields = 9

	// incarnationsMax bounds the starts in a hello, lostMax the lost clusters.
	incarnationsMax = 1 << 10
	lostMax         = 1 << 10

	// hostBytesMax is the longest host name.
	hostBytesMax = 255

	// leasesBytesMax is the longest value of the setting leases.
	leasesBytesMax = 16

	// addrBytesMax is the longest host:port.
	addrBytesMax = hostBytesMax + len("[]:65535")
)

// Stream is the purpose of a connection.
type Stream uint8

// The streams.
const (
	StreamForm Stream = iota + 1 // an exchange of hellos, before the cluster exists
	StreamControl
	StreamAppend
	StreamForward
	StreamSnapshot
	StreamJoin // a new folder's question whether it may come in
	streamEnd
)

// String names the stream for logs.
func (s Stream) String() string {
	names := [...]string{"none", "form", "control", "append", "forward", "snapshot", "join"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("stream %d", uint8(s))
}

// Guard says whether a node has a secret, and lets in who has none.
type Guard uint8

// The guards. A node that is Guarded and one that is Open refuse each other.
const (
	Open          Guard = iota // it has no secret
	Guarded                    // it has one, and demands it
	GuardOptional              // it has one, and does without where the other side has none
)

// Hello identifies a node at the beginning of a connection.
type Hello struct {
	ClusterID   uint64 // 0: not a member of any cluster yet
	ServerID    int
	RaftID      uint64
	DirectoryID identity.DirectoryID
	Lineage     identity.Lineage
	Stream      Stream
	Nonce       [nonceBytes]byte
	Versions    Versions
	Speaks      uint64 // of a peer: the version that both sides use; not sent
	Guard       Guard  // whether it has a secret
	AdminAddr   string // host:port of its admin port; empty: none

	// Constants of the cluster as it was formed. A node that is not a member yet
	// sends its configuration.
	Constants identity.Constants

	// Members that formed the cluster. A node that is not a member yet sends the
	// servers of its configuration, without directory ids.
	Members []identity.Member

	// Roster is who is a member now, as far as the node knows; nil: nobody has come or
	// gone since the cluster was formed.
	Roster *identity.Roster

	// Replaces tells that the node, which has an empty folder, may take the place of its
	// server's folder without an operator's word.
	Replaces bool

	// Lost are the clusters that were recovered as this one.
	Lost []uint64

	// proved tells of the hello of a server that was dialed that it knows the secret, or has
	// shown a certificate. It is not sent.
	proved bool
}

// roster returns who is a member, by the hello of one.
func (h *Hello) roster() *identity.Roster {
	if h.Roster != nil {
		return h.Roster
	}
	return &identity.Roster{Members: h.Members}
}

// The kinds of frames.
const (
	kindHello = iota + 1
	kindRefusal
	kindRaft
	kindForward
	kindSignal
	kindSnapshot
	kindChunk
	kindEnd
	kindVerdict
	kindProof
	kindAccepted
	kindOutdated
	kindRemoved
	kindLater
)

var errMalformed = errors.New("malformed frame")

func encodeHello(h *Hello) []byte {
	dst := frame.AppendArrayLen(nil, helloFields)
	dst = frame.AppendUint(dst, kindHello)
	dst = frame.AppendUint(dst, h.Versions.Least)
	dst = frame.AppendUint(dst, h.ClusterID)
	dst = frame.AppendUint(dst, uint64(h.ServerID))
	dst = frame.AppendUint(dst, h.RaftID)
	dst = frame.AppendBytes(dst, h.DirectoryID[:])
	dst = frame.AppendUint(dst, h.Lineage.Boot)
	dst = frame.AppendArrayLen(dst, len(h.Lineage.Incarnations))
	for _, n := range h.Lineage.Incarnations {
		dst = frame.AppendUint(dst, n)
	}
	dst = frame.AppendUint(dst, uint64(h.Stream))
	dst = frame.AppendBytes(dst, h.Nonce[:])
	dst = appendGuard(dst, h.Guard)
	dst = frame.AppendString(dst, h.AdminAddr)
	c := &h.Constants
	dst = frame.AppendArrayLen(dst, 6)
	dst = frame.AppendInt(dst, c.MemoryLimitBytes)
	dst = frame.AppendInt(dst, c.ItemBytesMax)
	dst = frame.AppendBool(dst, c.NoEvict)
	dst = frame.AppendInt(dst, c.TickMs)
	dst = frame.AppendInt(dst, c.ElectionTicks)
	dst = frame.AppendString(dst, string(c.Leases))
	dst = appendMembers(dst, h.Members)
	r := h.Roster
	if r == nil {
		r = &identity.Roster{}
	}
	dst = appendMembers(frame.AppendUint(frame.AppendUint(dst, r.Version), r.NextRaftID), r.Members)
	dst = frame.AppendArrayLen(frame.AppendBool(dst, h.Replaces), len(h.Lost))
	for _, id := range h.Lost {
		dst = frame.AppendUint(dst, id)
	}
	return h.Versions.append(dst)
}

func appendGuard(dst []byte, g Guard) []byte {
	if g == GuardOptional {
		return frame.AppendUint(dst, uint64(g))
	}
	return frame.AppendBool(dst, g == Guarded)
}

func appendMembers(dst []byte, members []identity.Member) []byte {
	dst = frame.AppendArrayLen(dst, len(members))
	for i := range members {
		m := &members[i]
		dst = frame.AppendArrayLen(dst, memberFields)
		dst = frame.AppendUint(dst, uint64(m.ServerID))
		dst = frame.AppendUint(dst, m.RaftID)
		dst = frame.AppendBytes(dst, m.DirectoryID[:])
		dst = frame.AppendString(dst, m.Host)
		dst = frame.AppendUint(dst, uint64(m.ClientPort))
		dst = frame.AppendUint(dst, uint64(m.LogPort))
		dst = frame.AppendBool(dst, m.Learner)
		dst = frame.AppendBool(dst, m.Stays)
		dst = frame.AppendBool(dst, m.Retired)
	}
	return dst
}

// fields reads values until the first error.
type fields struct {
	frame.Reader
	err error
}

func (f *fields) array(n int) {
	if f.err == nil {
		var got int
		if got, f.err = f.ArrayLen(n); f.err == nil && got != n {
			f.err = errMalformed
		}
	}
}

func (f *fields) uint() (v uint64) {
	if f.err == nil {
		v, f.err = f.Uint64()
	}
	return v
}

func (f *fields) int() (v int64) {
	if f.err == nil {
		v, f.err = f.Int64()
	}
	return v
}

func (f *fields) bool() (v bool) {
	if f.err == nil {
		v, f.err = f.Bool()
	}
	return v
}

func (f *fields) guard() Guard {
	if rest := f.Rest(); len(rest) > 0 && rest[0] == byte(GuardOptional) {
		return Guard(f.uint())
	}
	if f.bool() {
		return Guarded
	}
	return Open
}

func (f *fields) text(limit int) (v string) {
	if f.err == nil {
		v, f.err = f.String(limit)
	}
	return v
}

func (f *fields) bytes(limit int) (v []byte) {
	if f.err == nil {
		v, f.err = f.Bytes(limit)
	}
	return v
}

func (f *fields) directoryID() (id identity.DirectoryID) {
	if b := f.bytes(len(id)); f.err == nil && copy(id[:], b) != len(id) {
		f.err = errMalformed
	}
	return id
}

func (f *fields) nonce() (n [nonceBytes]byte) {
	if b := f.bytes(len(n)); f.err == nil && copy(n[:], b) != len(n) {
		f.err = errMalformed
	}
	return n
}

func (f *fields) uints(limit int) (list []uint64) {
	n := 0
	if f.err == nil {
		n, f.err = f.ArrayLen(limit)
	}
	for i := 0; i < n && f.err == nil; i++ {
		list = append(list, f.uint())
	}
	return list
}

func (f *fields) members() (list []identity.Member) {
	n := 0
	if f.err == nil {
		n, f.err = f.ArrayLen(membersMax)
	}
	for i := 0; i < n && f.err == nil; i++ {
		f.array(memberFields)
		list = append(list, identity.Member{
			ServerID: int(f.uint()), RaftID: f.uint(), DirectoryID: f.directoryID(),
			Host: f.text(hostBytesMax), ClientPort: int(f.uint()), LogPort: int(f.uint()),
			Learner: f.bool(), Stays: f.bool(), Retired: f.bool(),
		})
	}
	return list
}

// readHello decodes a hello or, as an error, a refusal.
func readHello(b []byte) (h Hello, err error) {
	f := fields{Reader: frame.NewReader(b)}
	var n int
	if n, f.err = f.ArrayLen(helloFields); f.err != nil {
		return h, fmt.Errorf("read hello: %w", f.err)
	}
	switch kind := f.uint(); {
	case isRefusal(kind) && n == 2:
		if sentence := f.text(refusalBytesMax); f.err == nil {
			return h, refusalOf(kind, sentence)
		}
		return h, fmt.Errorf("read refusal: %w", f.err)
	case kind != kindHello || n != helloFields:
		return h, fmt.Errorf("read hello: kind %d of %d values: %w", kind, n, errMalformed)
	}
	least := f.uint()
	if f.err == nil && (least < helloVersion || least > protocolGreatest) { // another form, or none in common
		_, err := ourVersions.common(Versions{Least: least, Greatest: least})
		return h, err
	}
	h.ClusterID, h.ServerID, h.RaftID = f.uint(), int(f.uint()), f.uint()
	h.DirectoryID, h.Lineage.Boot, h.Lineage.Incarnations = f.directoryID(), f.uint(), f.uints(incarnationsMax)
	h.Stream, h.Nonce, h.Guard, h.AdminAddr = Stream(f.uint()), f.nonce(), f.guard(), f.text(addrBytesMax)
	f.array(6)
	h.Constants.Limits = identity.Limits{MemoryLimitBytes: f.int(), ItemBytesMax: f.int(), NoEvict: f.bool()}
	h.Constants.Ticks = identity.Ticks{TickMs: f.int(), ElectionTicks: f.int()}
	h.Constants.Leases = identity.Leases(f.text(leasesBytesMax))
	h.Members = f.members()
	if r := (identity.Roster{Version: f.uint(), NextRaftID: f.uint(), Members: f.members()}); r.Version > 0 {
		h.Roster = &r
	}
	h.Replaces, h.Lost = f.bool(), f.uints(lostMax)
	h.Versions = f.versions(least)
	if f.err == nil {
		f.err = h.Lineage.Check()
	}
	if f.err != nil {
		return h, fmt.Errorf("read hello: %w", f.err)
	}
	return h, nil
}
