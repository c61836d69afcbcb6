package replication

import (
	"fmt"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// signalCommitted is the kind of signal by which a node tells which change of the
// members it knows to be committed.
const signalCommitted = 9

// raft changes its configuration when it applies a change, not when it appends it. So
// some nodes go by the new voters while others still need a majority of the old ones.
// If the leader is lost just then, the new voters may need who was removed.
//
// A removed node therefore goes on until it is told to stop, and it is told only when
// the members are settled. From then on any majority of the new voters is enough. One
// of them has the ChangeSettle. A node whose log is more up to date than that has it,
// too, or is of a later term, whose leader had it. Each of them learned with it that
// the change is committed, so the one with the longest log goes by the new voters.
//
// Until then the removed node is there. If it does not know that it was removed, it is a
// voter like others. If it knows, it does not stand, and its log may be longer than
// that of all who need its vote. So it tells what it knows: whoever has the change in
// the log takes it as committed, and needs the new voters only. One of any majority of
// them has it, and so has the one with the longest log.

// settle proposes what makes the members settled. Should it fail, it is done again.
func (c *Core) settle() {
	if c.leads() && !c.members.settled() && !c.members.joint() {
		_ = c.proposeChange(&MemberChange{Kind: ChangeSettle, Version: c.members.Version})
	}
}

// signalCommitted tells the others which change of the members this node knows to be
// committed, while no leader does that. One that is removed never hears of a leader.
func (c *Core) signalCommitted() {
	if c.members.Version == 0 || c.leader != raft.None && !c.removed || c.handover.ticks%c.cfg.ElectionTicks > 0 || c.cfg.bugs.has(bugCommitKept) {
		return
	}
	first, err := c.cfg.Log.FirstIndex()
	if err != nil {
		return // the next one that reads the log tells
	}
	index := max(c.confIndex, first-1) // what comes before is in a snapshot, and committed
	term, err := c.cfg.Log.Term(index)
	if err != nil {
		return
	}
	for _, id := range c.peers() {
		b := frame.AppendUint(frame.AppendArrayLen(nil, 3), signalCommitted)
		c.eff.Signals = append(c.eff.Signals, Forward{id, frame.AppendUint(frame.AppendUint(b, index), term)})
	}
}

// committedSignalled takes that an entry is committed, if this node has it in its log.
// raft hears it as from a leader that is nobody.
func (c *Core) committedSignalled(r *frame.Reader) error {
	in := memberReader{Reader: r}
	index, term := in.uint(indexMax), in.uint(1<<63-1)
	if in.err != nil {
		return fmt.Errorf("read what is committed: %w", in.err)
	}
	if c.leader != raft.None || c.leads() || index <= c.commit {
		return nil
	}
	if own, err := c.cfg.Log.Term(index); err != nil || own != term {
		return nil // it has another entry there, or none
	}
	now := c.raw.BasicStatus().HardState.GetTerm()
	c.step(&pb.Message{Type: pb.MsgApp.Enum(), To: new(c.cfg.ID), Term: new(now), Index: new(index), LogTerm: new(term), Commit: new(index)})
	return nil
}
