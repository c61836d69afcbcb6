package replication

import (
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// traffic counts what is sent from now on, by type.
func (r *rig) traffic() map[pb.MessageType]int {
	sent := map[pb.MessageType]int{}
	r.lose = func(m *rigMail) bool {
		if m.in.kind == inputStep {
			sent[m.in.message.GetType()]++
		}
		return false
	}
	return sent
}

// TestCommitIsToldOnce: followers acknowledge the entries of a write, and not the commit
// index that they hear of afterwards. No log is given that by itself before the next tick,
// and none is given it twice.
func TestCommitIsToldOnce(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	r.run(time.Second)
	sent := r.traffic()
	for _, n := range r.nodes {
		n.asked = 0
	}
	leader.set("k")
	r.deliver()
	for _, n := range r.nodes {
		if n.commit() != leader.machine.core.lastIndex || n.asked != 1 {
			t.Errorf("node %d knows %d of %d entries as committed, and its log was given %d messages, want 1", n.id, n.commit(), leader.machine.core.lastIndex, n.asked)
		}
	}
	if sent[pb.MsgApp] != 4 || sent[pb.MsgAppResp] != 2 || sent[pb.MsgHeartbeatResp] != 0 {
		t.Errorf("a write took these messages: %v", sent)
	}
	r.run(time.Second)
	for _, n := range r.nodes {
		if n.asked != 2 {
			t.Errorf("the log of node %d was given %d messages, want 2", n.id, n.asked)
		}
		hs, _, err := n.log.InitialState()
		if must(t, err); hs.GetCommit() != leader.commit() {
			t.Errorf("by the log of node %d %d entries are committed, want %d", n.id, hs.GetCommit(), leader.commit())
		}
	}
	// A write that waits for the one before brings that one's commit index with it.
	clear(sent)
	leader.set(strings.Repeat("k", 200))
	leader.set("l")
	r.deliver()
	if leader.commit() != leader.machine.core.lastIndex || sent[pb.MsgApp] != 6 || sent[pb.MsgAppResp] != 4 {
		t.Errorf("two writes, one after the other, took these messages: %v", sent)
	}
}

// TestCommitAfterLostEntries: a follower that is told of a commit index without having the
// entries says so, and gets them.
func TestCommitAfterLostEntries(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesOff, bugs)
		leader := r.elect()
		r.run(time.Second)
		follower := r.others(leader)[0]
		lost := 0
		r.lose = func(m *rigMail) bool {
			if m.to == follower.id && m.is(pb.MsgApp) && len(m.in.message.GetEntries()) > 0 && lost == 0 {
				lost++
				return true
			}
			return false
		}
		r.failing = bugs != 0
		leader.set("k")
		r.deliver()
		if bugs == 0 && (lost == 0 || follower.commit() != leader.commit()) {
			t.Fatalf("%d messages were lost, and the follower has %d of %d entries", lost, follower.commit(), leader.commit())
		}
		r.sound()
	}, bugCommitUnmatched)
}

// TestVotesDoNotWait: a vote is in the log before it leaves, however little else there is
// to be written.
func TestVotesDoNotWait(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesOff, bugs)
		voter := r.nodes[0]
		voted := 0
		r.lose = func(m *rigMail) bool {
			if m.from == voter.id && m.is(pb.MsgVoteResp) && !m.in.message.GetReject() {
				voted++
			}
			return true
		}
		for _, candidate := range []uint64{2, 3} {
			r.pass(time.Second)
			voter.feed(input{kind: inputStep, message: &pb.Message{
				Type: pb.MsgVote.Enum(), From: new(candidate), To: new(voter.id), Term: new(uint64(5)), LogTerm: new(uint64(4)), Index: new(uint64(100)),
			}})
			r.deliver()
			voter.stop()
			voter.start()
		}
		if voted == 2 {
			r.found = "a node votes twice in a term"
		} else if voted != 1 {
			t.Fatalf("it votes %d times", voted)
		}
		r.sound()
	}, bugVoteHeld)
}
