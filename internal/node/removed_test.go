package node

import (
	"strings"
	"testing"
	"time"

	"raftcached/replication"
)

// TestRetiredNodeServesNobody: once the folder of a server is retired, what it has is
// not shown any more, nor changed through it, local reads or not. It says so or closes.
func TestRetiredNodeServesNobody(t *testing.T) {
	nodes := openClusterWith(t, func(cfg *Config) { cfg.LocalReads = true })
	leader, follower := awaitLeader(t, nodes)
	c := dial(t, follower)
	if got := c.Ask("set k 0 0 1", "b"); got != "STORED" {
		t.Fatalf("before: %q", got)
	}
	change(t, leader, replication.MemberChange{Kind: replication.ChangeReplace, ServerID: follower.cfg.ServerID, Host: "127.0.0.1", ClientPort: 1, LogPort: 2})
	awaitMembers(t, follower, func(m *replication.Membership) bool { return m.Version > 0 })
	for _, request := range [][]string{{"get k"}, {"set k 0 0 1", "c"}, {"mg k v"}} {
		if got := c.Ask(request...); got != "SERVER_ERROR this server is no member of the cluster any more" {
			t.Errorf("%q: %q", request, got)
		}
	}
	if state, reason := (adminNode{follower}).Ready(t.Context()); state != "removed" || !strings.Contains(reason, "stop it") {
		t.Errorf("it is %s: %s", state, reason)
	}
}

// change has the leader change the members.
func change(t *testing.T, leader *Node, c replication.MemberChange) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := leader.replica.Change(t.Context(), c)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("change of kind %v: %v", c.Kind, err)
		}
	}
}

// awaitMembers waits until the members that a node has applied are as wanted.
func awaitMembers(t *testing.T, n *Node, want func(*replication.Membership) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !want(n.replica.Members()); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the members are %+v", n.replica.Members())
		}
	}
}
