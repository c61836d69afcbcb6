package replication

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// noAnswer is the context of a leader's message that tells a follower of a commit index,
// and brings no entries. Raft would acknowledge it as it does entries, which have been
// acknowledged: a message, and a turn of both raft loops, that say nothing new. A program
// that does not know the context answers.
//
// It is used only while raft takes the follower to receive all that is sent. If something
// was lost, raft finds out by what it sends after an answered heartbeat, which is answered.
const noAnswer = "commit"

// commits is how a commit index that has moved is told to peers and to the log: with the
// next entries, if there are any soon.
type commits struct {
	term uint64            // of told
	told map[uint64]uint64 // by peer: the highest one that was sent to it in the term

	hard  pb.HardState // its term and vote are those that the log was given last
	proof stored       // what the log is to confirm last
	held  *pb.Message  // for the log; nil: nothing
}

// stored is what an answer of the append worker confirms to be in the log.
type stored struct{ index, indexTerm, term uint64 }

// tellsCommit marks a message that brings a follower a commit index alone, and takes back
// one of this turn that m makes superfluous.
func (c *Core) tellsCommit(m *pb.Message) {
	if m.GetType() != pb.MsgApp {
		return
	}
	d := &c.commits
	if d.told == nil || d.term != m.GetTerm() {
		d.term, d.told = m.GetTerm(), make(map[uint64]uint64)
	}
	to, commit := m.GetTo(), m.GetCommit()
	if len(m.GetEntries()) == 0 && commit > d.told[to] && c.replicates(to) {
		m.Context = []byte(noAnswer)
	}
	d.told[to] = max(d.told[to], commit)
	c.eff.Messages = slices.DeleteFunc(c.eff.Messages, func(o *pb.Message) bool {
		return wantsNoAnswer(o) && o.GetTo() == to && o.GetTerm() == m.GetTerm() && o.GetCommit() <= commit
	})
}

// replicates reports whether raft takes it that a peer receives all that it is sent.
func (c *Core) replicates(peer uint64) (yes bool) {
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		yes = yes || id == peer && p.State == tracker.StateReplicate
	})
	return yes
}

func wantsNoAnswer(m *pb.Message) bool {
	return m.GetType() == pb.MsgApp && len(m.GetEntries()) == 0 && string(m.GetContext()) == noAnswer
}

// unanswered returns what raft is to be given of a message. One that tells of a commit index
// becomes a heartbeat, if this node's log has matched its leader's as far as that: the
// answer to it has the context, and does not leave.
func (c *Core) unanswered(m *pb.Message) *pb.Message {
	if !wantsNoAnswer(m) {
		return m
	}
	s, match := c.raw.BasicStatus(), c.reading.match
	known := s.HardState.GetTerm() == m.GetTerm() && s.Lead == m.GetFrom()
	reached := match.term == m.GetTerm() && match.index >= m.GetCommit() || c.cfg.bugs.has(bugCommitUnmatched)
	if !known || !reached {
		return m
	}
	return &pb.Message{
		Type: pb.MsgHeartbeat.Enum(), From: m.From, To: m.To, Term: m.Term, Commit: m.Commit, Context: m.Context,
	}
}

// isNoAnswer reports whether a message answers one that wants no answer.
func isNoAnswer(m *pb.Message) bool {
	return m.GetType() == pb.MsgHeartbeatResp && string(m.GetContext()) == noAnswer
}

// toLog hands a message to the append worker. A commit index alone waits for the next
// one that brings more, or for the next tick: a log that does not say what is committed
// learns it again, and a write for each costs as much as one of entries.
func (c *Core) toLog(m *pb.Message) {
	d := &c.commits
	if d.movesCommitOnly(m) || c.cfg.bugs.has(bugVoteHeld) && len(m.GetEntries()) == 0 && m.GetTerm() != 0 {
		d.held = &pb.Message{Type: m.Type, From: m.From, To: m.To, Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		if !c.cfg.bugs.has(bugVoteHeld) {
			return
		}
		m = &pb.Message{Type: m.Type, From: m.From, To: m.To, Responses: m.Responses}
	} else {
		c.logCommit()
	}
	if hs := hardStateOf(m); hs != nil {
		d.hard.Term, d.hard.Vote = hs.Term, hs.Vote
	}
	for _, r := range m.GetResponses() {
		if r.GetType() == pb.MsgStorageAppendResp {
			d.proof = storedBy(r)
		}
	}
	c.handedToDisk(m)
	c.eff.Append = append(c.eff.Append, m)
}

// movesCommitOnly reports whether a message for the append worker brings nothing but a
// commit index. Raft has all that is on its way to the log confirmed once more with it.
func (d *commits) movesCommitOnly(m *pb.Message) bool {
	if len(m.GetEntries()) > 0 || !raft.IsEmptySnap(m.GetSnapshot()) || m.GetTerm() != d.hard.GetTerm() || m.GetVote() != d.hard.GetVote() {
		return false
	}
	return !slices.ContainsFunc(m.GetResponses(), func(r *pb.Message) bool {
		return r.GetType() != pb.MsgStorageAppendResp || storedBy(r) != d.proof || r.GetSnapshot() != nil
	})
}

func storedBy(r *pb.Message) stored {
	return stored{index: r.GetIndex(), indexTerm: r.GetLogTerm(), term: r.GetTerm()}
}

// logCommit hands on the commit index that waits.
func (c *Core) logCommit() {
	if m := c.commits.held; m != nil {
		c.commits.held = nil
		c.eff.Append = append(c.eff.Append, m)
	}
}
