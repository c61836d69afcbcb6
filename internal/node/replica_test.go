package node

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/protocol/server"
	"raftcached/replication"
)

// openReplica adds a read replica to a cluster, and returns when it serves.
func openReplica(t *testing.T, nodes []*Node, adjust func(*Config)) *Node {
	t.Helper()
	leader, _ := awaitLeader(t, nodes)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	cfg := loneConfig(t)
	cfg.ServerID, cfg.Servers, cfg.DataDir = len(nodes), nil, filepath.Join(t.TempDir(), "replica")
	cfg.PeerAddr, cfg.PeerListener, cfg.Join = l.Addr().String(), l, leader.cfg.PeerAddr
	change(t, leader, replication.MemberChange{
		Kind: replication.ChangePrepare, ServerID: cfg.ServerID, Host: "127.0.0.1", ClientPort: 4, LogPort: l.Addr().(*net.TCPAddr).Port, Stays: true,
	})
	if adjust != nil {
		adjust(&cfg)
	}
	n := openNode(t, cfg)
	awaitState(t, n, admin.StateOK)
	return n
}

// TestReadReplicaServes what was acknowledged anywhere, takes writes, and is shown as what
// it is: in statistics, in the status, and to clients.
func TestReadReplicaServes(t *testing.T) {
	nodes := openCluster(t)
	awaitLeader(t, nodes)
	before := dial(t, nodes[0])
	if got := before.Ask("set k 0 0 1", "a"); got != "STORED" {
		t.Fatalf("set: %q", got)
	}
	replica := openReplica(t, nodes, nil)
	c := dial(t, replica)
	for i := range 20 {
		value := string(rune('a' + i))
		if got := before.Ask("set k 0 0 1", value); got != "STORED" {
			t.Fatalf("set: %q", got)
		}
		if got := c.Ask("mg k v"); got != "VA 1" || c.ReadLine() != value {
			t.Fatalf("the replica answers %q", got)
		}
	}
	play(t, replica, "C: set n 0 0 1\nC: 1\nS: STORED\nC: incr n 4\nS: 5\nC: ms m 2\nC: xy\nS: HD\nC: mg m v\nS: VA 2\nS: xy\nC: delete n\nS: DELETED\n")
	play(t, nodes[0], "C: get m\nS: VALUE m 0 2\nS: xy\nS: END\nC: get n\nS: END\n")

	for _, n := range append(nodes, replica) {
		awaitMembers(t, n, func(m *replication.Membership) bool { return m.Version == 2 })
		if _, members := n.Members(""); len(members) != 4 || members[3] != (server.Member{Host: "127.0.0.1", Port: 4}) {
			t.Errorf("server %d lists %v", n.cfg.ServerID, members)
		}
		stats := dial(t, n).Stats("cluster")
		if stats["servers"] != "4" || stats["voters"] != "3" || stats["servers_majority"] != "2" || stats["server:3:votes"] != "no" {
			t.Errorf("server %d has %v", n.cfg.ServerID, stats)
		}
		s := (adminNode{n}).Status(t.Context())
		if m := s.Servers[3]; !m.Learner || !m.Stays || m.Self != (n == replica) || s.Voters != 3 || s.Majority != 2 {
			t.Errorf("the status of server %d has %+v", n.cfg.ServerID, s)
		}
	}
	if got := c.Stats("raft")["raft_state"]; got != "learner" {
		t.Errorf("the replica's raft_state is %q", got)
	}
	if s := (adminNode{replica}).Status(t.Context()); s.Role != "learner" {
		t.Errorf("the replica's role is %q", s.Role)
	}
}

// joining is a corruptible state that may be restored before the node serves.
type joining struct {
	*corruptible
	serves atomic.Bool
}

// Restore implements replication.StateMachine.
func (m *joining) Restore(r io.Reader) error {
	if m.serves.Load() {
		return m.corruptible.Restore(r)
	}
	return m.machine.Restore(r)
}

// TestReadReplicaIsRepaired: the state of a learner is compared with that of the voters.
func TestReadReplicaIsRepaired(t *testing.T) {
	var m *joining
	nodes := openCluster(t)
	replica := openReplica(t, nodes, func(cfg *Config) {
		cfg.LocalReads = true
		cfg.wrap = func(inner machine) replication.StateMachine {
			m = &joining{corruptible: &corruptible{machine: inner, mayRestore: make(chan struct{})}}
			return m
		}
	})
	m.serves.Store(true)
	checkRepair(t, append(nodes, replica), replica, m.corruptible)
}

// TestRemovedReplicaEnds: it is told, says so, and serves nobody.
func TestRemovedReplicaEnds(t *testing.T) {
	nodes := openCluster(t)
	replica := openReplica(t, nodes, func(cfg *Config) { cfg.LocalReads = true })
	c := dial(t, replica)
	leader, _ := awaitLeader(t, nodes)
	change(t, leader, replication.MemberChange{Kind: replication.ChangeRemove, ServerID: replica.cfg.ServerID})
	select {
	case <-replica.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("the removed replica runs; it answers %q", c.Ask("get k"))
	}
	if err := replica.Err(); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("it ends with %v", err)
	}
	for _, n := range nodes {
		awaitMembers(t, n, func(m *replication.Membership) bool { return len(m.Members) == 3 })
		if version, members := n.Members(""); version != 4 || len(members) != 3 {
			t.Errorf("server %d lists %v, version %d", n.cfg.ServerID, members, version)
		}
	}
	play(t, nodes[0], "C: set k 0 0 1\nC: v\nS: STORED\nC: get k\nS: VALUE k 0 1\nS: v\nS: END\n")
}
