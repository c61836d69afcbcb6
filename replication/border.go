package replication

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrOutdated reports that this node's log lacks what it has acknowledged, or
// contradicts what is committed: its data folder, or another's, is not the newest.
// The node must not vote or acknowledge anything any more.
var ErrOutdated = errors.New("the raft log is not what this server has acknowledged")

// termJumpMax bounds how far one message may raise the term. A term that is used up
// could not be raised any more.
const termJumpMax = 1 << 32

// indexMax is beyond any index that a log reaches.
const indexMax = math.MaxUint64 / 4

// raftPanic is the panic of raft's logger: raft found its log to be what it never may
// be.
type raftPanic struct{ text string }

// Step takes a raft message from a peer. An error says that it cannot be from a
// sound peer, or ends this node: see Effects.Failed. raft trusts what it is given,
// and panics if that was wrong. So everything that could make it panic stops here.
//
// round is what came beside it, see Round.
func (c *Core) Step(m *pb.Message, round uint64) error {
	if err := c.checkMessage(m); err != nil {
		return fmt.Errorf("message %v: %w", m.GetType(), err)
	}
	c.handover.heard[m.GetFrom()] = c.handover.ticks
	if c.failed == nil {
		c.checkLog(m)
	}
	if m.GetType() == pb.MsgReadIndex {
		c.askedToRead(m)
		return nil
	}
	c.acknowledged(m, round)
	c.reads.support.answered(m)
	c.step(m)
	c.promiseLeader(m, round)
	return nil
}

// step passes a message to raft, one of a peer that was checked, or one of this node's
// own workers.
func (c *Core) step(m *pb.Message) {
	if c.failed != nil || c.barred(m) || c.withheld(m) {
		return
	}
	defer rescue(c.fail)
	// An error says that the message is of no use here and now, which raft
	// tolerates as it does a lost one.
	c.history.heads = m.GetType() == pb.MsgTimeoutNow // see mayStand
	_ = c.raw.Step(c.capAck(c.unanswered(m)))
	c.history.heads = false
	c.acked(m)
	if m.GetType() == pb.MsgSnap {
		c.takeReady() // so that confIndex tells whether raft has restored it
	}
}

// rescue is deferred where raft is called. It ends the node, rather than the process,
// if raft has found its log to contradict what the cluster has committed, or could
// not read it back. A mistake of the program goes on to panic.
func rescue(fail func(error)) {
	switch p := recover().(type) {
	case nil:
	case raftPanic:
		fail(fmt.Errorf("%w: %s", ErrOutdated, p.text))
	case runtime.Error:
		panic(p)
	case error: // of Log
		fail(fmt.Errorf("read the raft log: %w", p))
	default:
		panic(p)
	}
}

// fail lets nothing leave the core any more but err.
func (c *Core) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// checkLog stops the node if a message proves that its log lacks something. A leader
// has a follower commit only what that has acknowledged to it. A follower tells a
// leader of its term about an entry that the leader does not have only if it knows
// that entry to be committed.
func (c *Core) checkLog(m *pb.Message) {
	heartbeat := m.GetType() == pb.MsgHeartbeat && m.GetCommit() > c.lastIndex
	response := m.GetType() == pb.MsgAppResp && !m.GetReject() && m.GetIndex() > c.lastIndex
	if !heartbeat && !response {
		return
	}
	defer rescue(c.fail)
	c.takeReady() // the term and the last index are as of the last one
	switch {
	case c.failed != nil:
	case heartbeat && m.GetTerm() >= c.term && m.GetCommit() > c.lastIndex:
		c.fail(fmt.Errorf("%w: it ends with entry %d, and entry %d was acknowledged to the leader", ErrOutdated, c.lastIndex, m.GetCommit()))
	case response && m.GetTerm() == c.term && c.leads() && m.GetIndex() > c.lastIndex:
		c.fail(fmt.Errorf("%w: it ends with entry %d, and another server has entry %d as committed", ErrOutdated, c.lastIndex, m.GetIndex()))
	}
}

// checkMessage refuses what no sound peer sends.
func (c *Core) checkMessage(m *pb.Message) error {
	if m.GetTo() != c.cfg.ID || m.GetFrom() == c.cfg.ID || m.GetFrom() == raft.None {
		return fmt.Errorf("it is from %d to %d: %w", m.GetFrom(), m.GetTo(), errMalformed)
	}
	if m.GetTerm() == 0 && m.GetType() != pb.MsgReadIndex || m.GetTerm() > c.term+termJumpMax {
		return fmt.Errorf("its term is %d, after term %d: %w", m.GetTerm(), c.term, errMalformed)
	}
	if m.GetIndex() > indexMax || m.GetCommit() > indexMax || m.GetRejectHint() > indexMax {
		return fmt.Errorf("index %d, commit %d: %w", m.GetIndex(), m.GetCommit(), errMalformed)
	}
	switch m.GetType() {
	case pb.MsgApp:
		return checkEntries(m)
	case pb.MsgReadIndex, pb.MsgReadIndexResp:
		if len(m.GetEntries()) != 1 {
			return fmt.Errorf("%d entries: %w", len(m.GetEntries()), errMalformed)
		}
	case pb.MsgSnap:
		return checkSnapshot(m)
	case pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
	default:
		return fmt.Errorf("a peer does not send it: %w", errMalformed)
	}
	return nil
}

// checkEntries refuses entries with a gap, or of terms that no log has.
func checkEntries(m *pb.Message) error {
	index, term := m.GetIndex(), m.GetLogTerm()
	for _, e := range m.GetEntries() {
		if e.GetIndex() != index+1 || e.GetTerm() < term || e.GetTerm() > m.GetTerm() {
			return fmt.Errorf("entry %d of term %d after entry %d of term %d: %w", e.GetIndex(), e.GetTerm(), index, term, errMalformed)
		}
		if err := checkApplicable(e); err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		index, term = e.GetIndex(), e.GetTerm()
	}
	return nil
}

// checkApplicable refuses an entry that could not be applied: the node would end, and again
// at each start. What no program can read may pass, as applying it has no effect.
func checkApplicable(e *pb.Entry) error {
	switch e.GetType() {
	case pb.EntryNormal:
		if len(e.GetData()) == 0 { // a new leader's first entry
			return nil
		}
		r := frame.NewReader(e.GetData())
		if _, err := entryHeader(&r); errors.Is(err, ErrLater) {
			return err
		}
	case pb.EntryConfChangeV2:
		if _, err := readChange(e.GetData()); errors.Is(err, ErrLater) {
			return err
		}
	default:
		return fmt.Errorf("type %v: %w", e.GetType(), errMalformed)
	}
	return nil
}

// checkSnapshot refuses the snapshot of no log, or with a configuration that cannot
// be.
func checkSnapshot(m *pb.Message) error {
	meta := m.GetSnapshot().GetMetadata()
	if raft.IsEmptySnap(m.GetSnapshot()) || meta.GetIndex() > indexMax || meta.GetTerm() > m.GetTerm() || !soundConf(meta.GetConfState()) {
		return fmt.Errorf("snapshot of index %d, term %d and configuration %v: %w", meta.GetIndex(), meta.GetTerm(), meta.GetConfState(), errMalformed)
	}
	return nil
}

// soundConf reports whether raft can take over a configuration: it has a voter, and
// nobody is in it twice.
func soundConf(cs *pb.ConfState) bool {
	ids := slices.Sorted(slices.Values(slices.Concat(cs.GetVoters(), cs.GetLearners())))
	count := len(ids)
	return len(cs.GetVoters()) > 0 && ids[0] != raft.None && len(slices.Compact(ids)) == count
}
