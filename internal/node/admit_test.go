package node

import (
	"errors"
	"slices"
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

// TestMembersAreConfirmed: what was agreed on at one server is known at another one, once
// that has asked a majority.
func TestMembersAreConfirmed(t *testing.T) {
	nodes := openCluster(t)
	leader, _ := awaitLeader(t, nodes)
	for id := range 60 {
		n := nodes[id%3]
		change(t, leader, replication.MemberChange{Kind: replication.ChangePrepare, ServerID: 10, Host: "h", LogPort: 1})
		must(t, n.confirmMembers(t.Context()))
		if !slices.ContainsFunc(n.replica.Members().Members, func(m replication.Member) bool { return m.ServerID == 10 }) {
			t.Fatalf("change %d: server %d does not await it", id, n.cfg.ServerID)
		}
		change(t, leader, replication.MemberChange{Kind: replication.ChangeRemove, ServerID: 10})
	}
}
