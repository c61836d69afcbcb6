package node

import (
	"errors"
	"testing"

	"raftcached/replication"
	"raftcached/replication/peer"
)

// TestEndingServerRefusesNobodyForGood: that it was removed itself is not what the folder
// that asks it is to hear, which would end with that.
func TestEndingServerRefusesNobodyForGood(t *testing.T) {
	n := openNode(t, loneConfig(t))
	n.replica.HandleExcluded(&peer.RemovedError{Sentence: "server 0 was removed"})
	if err := n.admit(t.Context(), peer.Joiner{ServerID: 9}); !errors.Is(err, errEnding) {
		t.Errorf("it says: %v", err)
	}
	c := replication.MemberChange{Kind: replication.ChangePrepare, ServerID: 9}
	if err := n.replica.Change(t.Context(), c); !errors.As(err, new(*peer.RemovedError)) {
		t.Errorf("a change fails with %v: this test has lost its point", err)
	}
}

// TestInPlace: while a folder is replaced, its server has two members. The retired one is
// heard by nobody; to judge by it would let a third folder remove the one that comes in.
func TestInPlace(t *testing.T) {
	retired := replication.Member{ServerID: 1, RaftID: 2, Retired: true}
	comes := replication.Member{ServerID: 1, RaftID: 4, Learner: true}
	awaited := replication.Member{ServerID: 1}
	other := replication.Member{ServerID: 2, RaftID: 3}
	for _, c := range []struct {
		members []replication.Member
		raftID  uint64
		found   bool
	}{
		{[]replication.Member{retired, comes, other}, 4, true},
		{[]replication.Member{awaited, retired, other}, 0, true},
		{[]replication.Member{retired, other}, 0, false},
		{[]replication.Member{other}, 0, false},
	} {
		m := inPlace(c.members, 1)
		if (m != nil) != c.found || m != nil && (m.RaftID != c.raftID || m.Retired) {
			t.Errorf("of %+v, %+v has the place of server 1", c.members, m)
		}
	}
}

// TestMembersAreConfirmed: what was agreed on at one server is known at another one, once
// that has asked a majority.
func TestMembersAreConfirmed(t *testing.T) {
	nodes := openCluster(t)
	leader, _ := awaitLeader(t, nodes)
	for id := range 60 {
		n := nodes[id%3]
		change(t, leader, replication.MemberChange{Kind: replication.ChangePrepare, ServerID: 10, Host: "h", LogPort: 1})
		must(t, n.confirmMembers(t.Context()))
		if inPlace(n.replica.Members().Members, 10) == nil {
			t.Fatalf("change %d: server %d does not await it", id, n.cfg.ServerID)
		}
		change(t, leader, replication.MemberChange{Kind: replication.ChangeRemove, ServerID: 10})
	}
}
