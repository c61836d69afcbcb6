package node

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/replication"
	"raftcached/replication/peer"
)

// TestRetiredNodeEnds: once the folder of a server is retired its server is told so, and
// ends: what it has is not shown any more, local reads or not.
func TestRetiredNodeEnds(t *testing.T) {
	nodes := openClusterWith(t, func(cfg *Config) { cfg.LocalReads = true })
	leader, follower := awaitLeader(t, nodes)
	change(t, leader, replication.MemberChange{Kind: replication.ChangeReplace, ServerID: follower.cfg.ServerID, Host: "elsewhere", ClientPort: 1, LogPort: 2})
	select {
	case <-follower.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if err := follower.Err(); err == nil || !strings.Contains(err.Error(), "was retired by `raftcachectl member replace`") || !strings.Contains(err.Error(), follower.cfg.DataDir) {
		t.Errorf("it ends with: %v", err)
	}
	if follower.readsInline() {
		t.Error("it would show what it has")
	}
}

// TestServerIsAskedForItsOwnRemoval, and answers that it is made, at its own admin port, once
// the others do without it: who removes it may switch the machine off then.
func TestServerIsAskedForItsOwnRemoval(t *testing.T) {
	for operation, request := range map[string]admin.MemberRequest{admin.MemberRemove: {}, admin.MemberReplace: {Host: "elsewhere"}} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			nodes := openClusterWith(t, func(cfg *Config) { cfg.AdminAddr = "127.0.0.1:0" })
			_, n := awaitLeader(t, nodes)
			request.ID = &n.cfg.ServerID
			client := &admin.Client{}
			_, err := client.Operate(t.Context(), n.admin.Addr().String(), operation, &request)
			for end := time.Now().Add(20 * time.Second); errors.As(err, new(*admin.RefusedError)) && time.Now().Before(end); { // nobody was heard for a moment
				_, err = client.Operate(t.Context(), n.admin.Addr().String(), operation, &request)
			}
			must(t, err)
			knows := func(other *Node) bool { return other.replica.Members().Excludes(n.raftID) && other.replica.Settled() }
			if !slices.ContainsFunc(nodes, knows) {
				t.Error("nobody knows that its removal is settled")
			}
			<-n.Done()
			if err := n.Err(); !errors.As(err, new(*peer.RemovedError)) {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}

// TestLogIsAppliedBeforeClientsComeIn, as far as it says that it is committed, also where
// nobody else is there: who was removed knows it then.
func TestLogIsAppliedBeforeClientsComeIn(t *testing.T) {
	nodes := openCluster(t)
	leader, follower := awaitLeader(t, nodes)
	for id := range 5 {
		change(t, leader, replication.MemberChange{Kind: replication.ChangePrepare, ServerID: 10 + id, Host: "h", LogPort: 1 + id})
	}
	awaitMembers(t, follower, func(m *replication.Membership) bool { return m.Version == 5 })
	for _, n := range nodes {
		must(t, n.Close())
	}
	cfg := follower.cfg
	cfg.RequestTimeout = time.Second // for as long it waits for a leader
	var err error
	cfg.PeerListener, err = net.Listen("tcp", cfg.PeerAddr)
	must(t, err)
	if n := openNode(t, cfg); n.replica.Members().Version != 5 {
		t.Errorf("it has come to version %d of the members", n.replica.Members().Version)
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

// awaitMembers waits until the members that a node has applied are as wanted, and it
// follows them.
func awaitMembers(t *testing.T, n *Node, want func(*replication.Membership) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !want(n.replica.Members()) || n.members().Version < n.replica.Members().Version; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the members are %+v", n.replica.Members())
		}
	}
}

// TestMovedServerIsShownWhereItIs, by every server and to clients, without a restart and
// after one.
func TestMovedServerIsShownWhereItIs(t *testing.T) {
	nodes := openCluster(t)
	leader, follower := awaitLeader(t, nodes)
	own, _ := leader.members().Find(leader.raftID)
	change(t, leader, replication.MemberChange{
		Kind: replication.ChangeMove, ServerID: own.ServerID, Host: "127.0.0.1", ClientPort: 4711, LogPort: own.LogPort,
	})
	cfg := follower.cfg
	shows := func(n *Node) {
		t.Helper()
		awaitMembers(t, n, func(m *replication.Membership) bool { return m.Version == 1 })
		version, members := n.Members("")
		if version != 2 || members[own.ServerID].Port != 4711 {
			t.Errorf("server %d lists %v, version %d", n.cfg.ServerID, members, version)
		}
		if got := dial(t, n).Stats("cluster")[fmt.Sprintf("server:%d:address", own.ServerID)]; got != "127.0.0.1:4711" {
			t.Errorf("stats of server %d show it at %s", n.cfg.ServerID, got)
		}
		if s := (adminNode{n}).Status(t.Context()); s.Servers[own.ServerID].Address != "127.0.0.1:4711" || s.MembersVersion != 1 {
			t.Errorf("the status of server %d shows %+v", n.cfg.ServerID, s.Servers)
		}
	}
	for _, n := range nodes {
		shows(n)
	}
	must(t, follower.Close())
	l, err := net.Listen("tcp", cfg.PeerAddr)
	must(t, err)
	var warned warnings
	cfg.PeerListener, cfg.Logger = l, warned.logger()
	n := openNode(t, cfg)
	if m := n.members(); m.Version != 1 || m.Members[own.ServerID].ClientPort != 4711 {
		t.Errorf("before the log is read the members are %+v", m) // from the identity file
	}
	shows(n)
	if got := warned.String(); strings.Contains(got, "member move") {
		t.Errorf("what was changed by the log is complained about: %s", got)
	}
}
