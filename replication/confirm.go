package replication

import (
	"bytes"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"
)

// support is by whose answers the leader's rounds of heartbeats confirm reads. A round
// goes only to those who have confirmed the one before it, while they are a majority
// with the leader: what the others answer would change nothing. If one of them does not
// answer, raft's next heartbeat goes to all and asks for the same, and whoever is first
// then is asked from there on.
type support struct {
	context []byte   // that raft has given the heartbeats of the newest round
	by      []uint64 // who has answered it, in order
	last    []uint64 // who has confirmed the one before; empty: everybody is asked
	asking  bool     // what raft wants to send now is a round
}

// asked takes a peer's request to confirm its reads. raft is not asked if the peer and
// this node are a majority. Then the request says it all: the peer had this node as the
// leader of its term after those reads had come to it, and this node leads still. So
// none of the two had voted for a later term when the reads came, and nobody led one.
//
// Invariant: a peer's request confirms no reads but its own. It may have left before
// others came.
//
// What this node has applied of its term tells that it knows what was committed in
// earlier ones.
func (c *Core) askedToRead(m *pb.Message) {
	switch s := c.raw.BasicStatus(); {
	case s.RaftState != raft.StateLeader: // it is asked again
	case c.appliedTerm == s.HardState.GetTerm() && agreed(c.lease.voters, c.cfg.ID, m.GetFrom()):
		c.answerRead(m, s.HardState.GetCommit())
		if c.cfg.bugs.has(bugRequestConfirmsAll) {
			c.reads.confirm(c.reads.id(), s.HardState.GetCommit())
		}
	default:
		c.reads.ask(m)
	}
}

// answerRead names to a peer the index that confirms its reads.
func (c *Core) answerRead(m *pb.Message, index uint64) {
	c.dispatch(&pb.Message{
		Type: pb.MsgReadIndexResp.Enum(), From: new(c.cfg.ID), To: new(m.GetFrom()),
		Term: new(c.raw.BasicStatus().HardState.GetTerm()), Index: new(index), Entries: m.GetEntries(),
	})
}

// agreed reports whether some nodes are a majority, of both configurations while members
// change.
func agreed(voters quorum.JointConfig, ids ...uint64) bool {
	for _, half := range voters {
		n := 0
		for _, id := range ids {
			if _, ok := half[id]; ok {
				n++
			}
		}
		if len(half) > 0 && n <= len(half)/2 {
			return false
		}
	}
	return true
}

// askForReads has raft confirm what reads have gathered.
func (c *Core) askForReads() {
	if c.leader == raft.None || !c.confirmsReads() {
		return
	}
	if id := c.reads.next(); id != nil {
		c.raw.ReadIndex(id)
		s := &c.reads.support
		s.asking, s.by = true, s.by[:0]
		if c.reads.attempt > 1 {
			s.last = s.last[:0]
		}
	}
}

// confirmsReads reports whether raft may be asked to confirm a read, of this node or of
// a peer. For an only voter raft names what it knows to be committed, without waiting
// for an entry of its own term: after a start that may be less than it has acknowledged.
func (c *Core) confirmsReads() bool { return c.alone() || !c.members.sole(c.cfg.ID) }

// confirmed takes what raft has confirmed.
func (c *Core) confirmed(rs *raft.ReadState) {
	for _, m := range c.reads.confirm(rs.RequestCtx, rs.Index) {
		c.answerRead(m, rs.Index)
	}
	c.readIndex = max(c.readIndex, rs.Index)
	c.reads.support.confirmed(c.lease.voters, c.cfg.ID)
}

// spared reports whether a message is a heartbeat of a round that nobody needs.
func (s *support) spared(m *pb.Message) bool {
	if !s.asking || m.GetType() != pb.MsgHeartbeat {
		return false
	}
	s.context = m.GetContext()
	return len(s.last) > 0 && !slices.Contains(s.last, m.GetTo())
}

// answered takes a peer's answer to a heartbeat. There may be two of one peer: the
// heartbeats that are sent anyway confirm the newest round too.
func (s *support) answered(m *pb.Message) {
	if m.GetType() == pb.MsgHeartbeatResp && len(s.context) > 0 && bytes.Equal(m.GetContext(), s.context) && !slices.Contains(s.by, m.GetFrom()) {
		s.by = append(s.by, m.GetFrom())
	}
}

// confirmed takes that the newest round has confirmed reads: those who answered first
// are asked the next time.
func (s *support) confirmed(voters quorum.JointConfig, self uint64) {
	with := []uint64{self}
	for _, id := range s.by {
		if with = append(with, id); agreed(voters, with...) {
			s.last = append(s.last[:0], with[1:]...)
			return
		}
	}
}
