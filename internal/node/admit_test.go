package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"raftcached/internal/settings"
	"raftcached/replication"
	"raftcached/replication/peer"
)

// joinerConfig is that of a server which knows a cluster by the log port of a member.
func joinerConfig(t *testing.T, id int, member *Node) (cfg Config, prepare replication.MemberChange) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	cfg = loneConfig(t)
	cfg.ServerID, cfg.Servers, cfg.Join = id, nil, member.transport.Addr().String()
	cfg.PeerAddr, cfg.PeerListener = l.Addr().String(), l
	return cfg, replication.MemberChange{
		Kind: replication.ChangePrepare, ServerID: id, Host: "127.0.0.1", ClientPort: 100 + id, LogPort: l.Addr().(*net.TCPAddr).Port,
	}
}

// awaitVoters waits until as many have a vote as a node has applied, and raft is between
// no two configurations.
func awaitVoters(t *testing.T, n *Node, count int) {
	t.Helper()
	awaitMembers(t, n, func(m *replication.Membership) bool {
		return len(m.Conf.GetVoters()) == count && len(m.Conf.GetVotersOutgoing()) == 0
	})
}

// TestLoneBecomesThree: a lone server gets a second and a third one while it is written
// to. Nothing that was acknowledged is missing on any of them, and it ceases to answer
// reads alone.
func TestLoneBecomesThree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	cfg := loneConfig(t)
	cfg.PeerAddr, cfg.PeerListener = l.Addr().String(), l
	cfg.Servers = []Server{{Host: "127.0.0.1", ClientPort: 100, LogPort: l.Addr().(*net.TCPAddr).Port}}
	lone := openNode(t, cfg)
	if c := dial(t, lone); c.Ask("set first 0 0 1", "x") != "STORED" {
		t.Fatal("the lone server stores nothing")
	}
	grown, written := make(chan struct{}), make(chan int)
	go func() {
		c := dial(t, lone)
		for i := 0; ; i++ {
			select {
			case <-grown:
				written <- i
				return
			default:
			}
			if got := c.Ask(fmt.Sprintf("set k%d 0 0 1", i), "x"); got != "STORED" {
				t.Errorf("set %d: %s", i, got)
			}
		}
	}()
	nodes := []*Node{lone}
	for id := 1; id <= 2; id++ {
		cfg, prepare := joinerConfig(t, id, lone)
		change(t, lone, prepare)
		n := openNode(t, cfg)
		nodes = append(nodes, n)
		awaitVoters(t, n, id+1)
	}
	awaitVoters(t, lone, 3)
	close(grown)
	count := <-written
	if lone.replica.Status().Alone {
		t.Error("the server is alone among three")
	}
	for _, n := range nodes {
		c := dial(t, n)
		for i := range count {
			if got := c.Ask(fmt.Sprintf("mg k%d", i)); got != "HD" {
				t.Fatalf("server %d has not k%d of %d: %s", n.cfg.ServerID, i, count, got)
			}
		}
	}
	if self, _ := nodes[2].members().Find(lone.raftID); self.LogPort != cfg.Servers[0].LogPort {
		t.Errorf("the first server is looked for at %+v", self)
	}
	must(t, lone.Close()) // two of three go on
	awaitLeader(t, nodes[1:])
	if got := dial(t, nodes[1]).Ask("mg first"); got != "HD" {
		t.Errorf("without the first server: %s", got)
	}
}

// TestJoinByTheListOfServers: a server.json that lists a new server, whose cluster is
// formed, is enough once the server is announced.
func TestJoinByTheListOfServers(t *testing.T) {
	nodes := openCluster(t)
	leader, follower := awaitLeader(t, nodes)
	cfg, prepare := joinerConfig(t, 3, leader)
	cfg.Join = ""
	cfg.Servers = append(append([]Server{}, leader.cfg.Servers...), Server{ID: 3, Host: "127.0.0.1", ClientPort: 103, LogPort: prepare.LogPort})
	listener := cfg.PeerListener
	must(t, listener.Close())
	cfg.PeerListener = nil
	_, err := Open(t.Context(), cfg)
	if _, is := errors.AsType[*settings.Error](err); !is || !strings.Contains(err.Error(), "run `raftcachectl member add 3 --host 127.0.0.1 --port 103") {
		t.Fatalf("before it is announced: %v", err)
	}
	prepare.Host, prepare.LogPort = "elsewhere", 1 // it knows better
	change(t, follower, prepare)
	n := openNode(t, cfg)
	awaitVoters(t, n, 4)
	if got := dial(t, n).Ask("set k 0 0 1", "x"); got != "STORED" {
		t.Errorf("through the new server: %s", got)
	}
	self, _ := leader.members().Find(n.raftID)
	if self.ServerID != 3 || n.raftID != 4 || self.Host != "127.0.0.1" {
		t.Errorf("it is member %d, %+v", n.raftID, self)
	}
	must(t, n.Close())
	n = openNode(t, cfg) // it is what it was
	if n.raftID != 4 {
		t.Errorf("after a restart it is member %d", n.raftID)
	}
}

// TestReplaceEmpty: an empty folder takes the place of one that nobody hears, if it may,
// and never under its raft id.
func TestReplaceEmpty(t *testing.T) {
	nodes := openCluster(t)
	leader, victim := awaitLeader(t, nodes)
	cfg, was := victim.cfg, victim.raftID
	cfg.DataDir, cfg.PeerListener = filepath.Join(t.TempDir(), "empty"), nil
	cfg.ReplaceEmpty = true

	cfg.PeerAddr = "127.0.0.1:0"
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, cfg); err == nil || !strings.Contains(err.Error(), "runs with another data folder") {
		t.Fatalf("beside the folder that is a member: %v", err)
	}
	cfg.PeerAddr = victim.cfg.PeerAddr
	must(t, victim.Close())

	cfg.ReplaceEmpty = false
	var outdated *peer.OutdatedError
	if _, err := Open(t.Context(), cfg); !errors.As(err, &outdated) || !strings.Contains(err.Error(), fmt.Sprintf("raftcachectl member replace %d", cfg.ServerID)) {
		t.Fatalf("without leave: %v", err)
	}
	cfg.ReplaceEmpty = true
	n := openNode(t, cfg)
	awaitMembers(t, leader, func(m *replication.Membership) bool {
		return len(m.Members) == 3 && len(m.Conf.GetVoters()) == 3 && len(m.Conf.GetVotersOutgoing()) == 0
	})
	if n.raftID != 4 || n.raftID == was {
		t.Errorf("it is member %d, and was %d", n.raftID, was)
	}
	if got := dial(t, n).Ask("set k 0 0 1", "x"); got != "STORED" {
		t.Errorf("through the new folder: %s", got)
	}
	must(t, n.Close())

	old := victim.cfg // it comes back, after all
	old.PeerListener = nil
	late, err := Open(t.Context(), old)
	if err == nil {
		<-late.Done()
		err = late.Err()
	}
	if !errors.As(err, new(*peer.RemovedError)) || !strings.Contains(err.Error(), "was replaced by folder") {
		t.Errorf("the folder that was replaced ends with: %v", err)
	}
}
