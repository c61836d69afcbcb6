package node

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/protocol/server"
	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
)

// place4 is a cluster in which server 1's folder is retired and another one is about to
// take its place, server 2 is a read replica, and server 3's folder is awaited.
var place4 = &replication.Membership{
	Version: 6, NextRaftID: 7,
	Members: []replication.Member{
		{ServerID: 0, RaftID: 1, Directory: replication.DirectoryID{1}, Host: "a", ClientPort: 1, LogPort: 2},
		{ServerID: 1, RaftID: 2, Directory: replication.DirectoryID{2}, Host: "b", ClientPort: 1, LogPort: 2, Retired: true},
		{ServerID: 1, RaftID: 6, Directory: replication.DirectoryID{6}, Host: "c", ClientPort: 3, LogPort: 4, Learner: true},
		{ServerID: 2, RaftID: 5, Directory: replication.DirectoryID{5}, Host: "d", LogPort: 2, Learner: true, Stays: true},
		{ServerID: 3, Host: "e", ClientPort: 5, LogPort: 6},
	},
}

// lookout is a node that knows members and has no connections.
func lookout(t *testing.T, m *replication.Membership) *Node {
	n := &Node{cfg: loneConfig(t), raftID: 1}
	n.known.Store(m)
	return n
}

func TestPlaces(t *testing.T) {
	n := lookout(t, place4)
	var got []string
	for _, p := range n.places() {
		got = append(got, fmt.Sprintf("%d at %s, votes %v, replaced %v, awaited %v", p.ServerID, p.Host, p.votes(), p.Replaced, p.RaftID == 0))
	}
	want := []string{
		"0 at a, votes true, replaced false, awaited false", "1 at c, votes false, replaced true, awaited false",
		"2 at d, votes false, replaced false, awaited false", "3 at e, votes false, replaced false, awaited true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("places are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := n.reach(); got != (reach{votes: 2, majority: 2, reached: 1}) {
		t.Errorf("votes are %+v: want that of the retired folder among them", got)
	}
	if n.serverID(6) != 1 || n.serverID(2) != 1 || n.serverID(4) != -1 || n.logAddr(1) != "c:4" {
		t.Errorf("raft ids are of the servers %d, %d and %d, server 1 is at %s", n.serverID(6), n.serverID(2), n.serverID(4), n.logAddr(1))
	}
}

// TestVoteIsTakenOver when raft has left the joint configuration, and not before: the
// folder that was retired still counts.
func TestVoteIsTakenOver(t *testing.T) {
	m := &replication.Membership{
		Version: 7, NextRaftID: 4,
		Members: []replication.Member{
			{ServerID: 0, RaftID: 1, Directory: replication.DirectoryID{1}, Host: "a"},
			{ServerID: 1, RaftID: 3, Directory: replication.DirectoryID{3}, Host: "b"},
		},
		Conf: &pb.ConfState{Voters: []uint64{1, 3}, VotersOutgoing: []uint64{1, 2}},
	}
	n := lookout(t, m)
	if p := n.places()[1]; p.votes() || !p.Replaced || !n.places()[0].votes() {
		t.Errorf("before: %+v", p)
	}
	if got := n.reach(); got != (reach{votes: 2, majority: 2, reached: 1}) {
		t.Errorf("before, votes are %+v", got)
	}
	m.Conf = &pb.ConfState{Voters: []uint64{1, 3}}
	if p := n.places()[1]; !p.votes() || p.Replaced {
		t.Errorf("after: %+v", p)
	}
}

// TestMembersForClients lists who serves, at the ports that the log has, or else as
// configured.
func TestMembersForClients(t *testing.T) {
	n := lookout(t, place4)
	n.cfg.Servers = []Server{{ID: 2, Host: "elsewhere", ClientPort: 9}}
	version, members := n.Members("")
	if want := []server.Member{{Host: "a", Port: 1}, {Host: "d", Port: 9}}; version != 7 || !slices.Equal(members, want) {
		t.Errorf("version %d lists %v, want version 7 and %v", version, members, want)
	}
}

// TestListingGrows: a list that changes has a higher version than all before, also
// than those of the time before a restart.
func TestListingGrows(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	a, b := []server.Member{{Host: "a"}, {Host: "b"}}, []server.Member{{Host: "a"}}
	var l listing
	last := l.update(a, start)
	for i, members := range [][]server.Member{b, a, b} {
		version := l.update(members, start.Add(time.Duration(i)*time.Second/2))
		if version <= last || l.update(slices.Clone(members), start.Add(time.Hour)) != version {
			t.Fatalf("change %d has version %d, after %d", i, version, last)
		}
		last = version
	}
	if version := new(listing).update(a, start.Add(10*time.Second)); version <= last {
		t.Errorf("after a restart the version is %d, before it was %d", version, last)
	}
}

// TestRosterIsTheMembership but for raft's configuration.
func TestRosterIsTheMembership(t *testing.T) {
	c := &identity.Cluster{Members: []identity.Member{{ServerID: 9, RaftID: 10}}}
	if m := noted(c); m.Version != 0 || m.NextRaftID != 11 || m.Members[0].ServerID != 9 {
		t.Errorf("as formed: %+v", m)
	}
	c.Roster = rosterOf(place4)
	if got := noted(c); fmt.Sprint(got) != fmt.Sprint(place4) {
		t.Errorf("got %+v, want %+v", got, place4)
	}
}

// TestUnreachableServersAreLeftOut of the list for clients, when that is asked for, and
// come back.
func TestUnreachableServersAreLeftOut(t *testing.T) {
	const patience = 50 * time.Millisecond
	nodes := openClusterWith(t, func(cfg *Config) {
		if cfg.ServerID == 0 {
			cfg.UnlistAfter = patience
		}
	})
	awaitLeader(t, nodes)
	first := awaitListed(t, nodes[0], 3)
	cfg := nodes[2].cfg
	must(t, nodes[2].Close())
	without := awaitListed(t, nodes[0], 2)
	if _, all := nodes[1].Members(""); len(all) != 3 {
		t.Errorf("a server that is to leave none out lists %v", all)
	}
	l, err := net.Listen("tcp", cfg.PeerAddr)
	must(t, err)
	cfg.PeerListener = l
	nodes[2] = openNode(t, cfg)
	if again := awaitListed(t, nodes[0], 3); without <= first || again <= without {
		t.Errorf("the versions are %d, %d and %d", first, without, again)
	}
}

// awaitListed waits until a node lists so many members, and returns the version.
func awaitListed(t *testing.T, n *Node, count int) uint64 {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		version, members := n.Members("")
		if len(members) == count {
			return version
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v are listed, want %d", members, count)
		}
	}
}

// TestChangesAreLogged, each in one line.
func TestChangesAreLogged(t *testing.T) {
	place := func(id int, raft uint64, change func(*replication.Member)) replication.Member {
		m := replication.Member{ServerID: id, RaftID: raft, Host: "h", ClientPort: 1, LogPort: 2}
		if change != nil {
			change(&m)
		}
		return m
	}
	learner := func(m *replication.Member) { m.Learner = true }
	replica := func(m *replication.Member) { m.Learner, m.Stays = true, true }
	retired := func(m *replication.Member) { m.Retired = true }
	var got strings.Builder
	n := lookout(t, &replication.Membership{NextRaftID: 3, Members: []replication.Member{place(0, 1, nil), place(1, 2, nil)}})
	n.cfg.Logger = slog.New(slog.NewTextHandler(&got, nil))
	var err error
	n.identity, err = identity.Open(disk.NewMemory(), "data", 0, rand.NewChaCha8([32]byte{1}))
	must(t, err)
	for i, c := range []struct {
		members []replication.Member
		want    string
	}{
		{[]replication.Member{place(0, 1, nil), place(1, 2, nil)}, ""},
		{[]replication.Member{place(0, 1, nil), place(1, 0, nil), place(1, 2, retired)}, "the data folder of server 1 is retired for good: an empty one is awaited at h:2"},
		{[]replication.Member{place(0, 1, nil), place(1, 2, retired), place(1, 3, learner)}, "server 1 has joined, and gets a vote when it has caught up"},
		{[]replication.Member{place(0, 1, nil), place(1, 3, nil)}, "server 1 votes"},
		{[]replication.Member{place(0, 1, nil), place(1, 3, nil), place(7, 0, nil)}, "server 7 is to be added: an empty data folder is awaited at h:2"},
		{[]replication.Member{place(0, 1, nil), place(1, 3, nil), place(7, 4, replica)}, "server 7 has joined as a read replica"},
		{[]replication.Member{place(0, 1, nil), place(1, 3, func(m *replication.Member) { m.Host = "i" }), place(7, 4, replica)}, "server 1 is at i:2, and for clients :1 from now on"},
		{[]replication.Member{place(0, 1, nil), place(7, 4, replica)}, "server 1 is removed from the cluster"},
		{[]replication.Member{place(7, 4, replica)}, "server 0 is removed from the cluster"},
	} {
		got.Reset()
		n.follow(&replication.Membership{Version: uint64(i), NextRaftID: 5, Members: c.members})
		lines := strings.Split(strings.TrimSpace(got.String()), "\n")
		if !strings.Contains(lines[0], c.want) || c.want == "" && lines[0] != "" || len(lines) > 1 && i < 8 {
			t.Errorf("change %d gives %q, want %q", i, lines, c.want)
		}
	}
	if !strings.Contains(got.String(), "the cluster goes on without this data folder") {
		t.Errorf("its own removal gives %q", got.String())
	}
	must(t, n.identity.Close())
}

// TestVoteIsLoggedWhenItIsSettled, and not while others may still need who had it before.
func TestVoteIsLoggedWhenItIsSettled(t *testing.T) {
	member := replication.Member{ServerID: 1, RaftID: 3, Host: "h"}
	learner := place{Member: member}
	learner.Learner = true
	unsettled, settled := place{Member: member, Unsettled: true}, place{Member: member}
	if got := unsettled.change(&learner); got != "" {
		t.Errorf("at the change: %q", got)
	}
	if got := settled.change(&unsettled); got != "server 1 votes" {
		t.Errorf("when it is settled: %q", got)
	}
	if got := settled.change(&settled); got != "" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestRemovedServerKnowsItsAddress when it is started again, although it has no
// configuration: the others may need its vote, and it is to be told.
func TestRemovedServerKnowsItsAddress(t *testing.T) {
	id, err := identity.Open(disk.NewMemory(), "data", 4, rand.NewChaCha8([32]byte{1}))
	must(t, err)
	self := replication.Member{ServerID: 4, RaftID: 5, Directory: replication.DirectoryID(id.DirectoryID()), Host: "127.0.0.1", ClientPort: 6, LogPort: 7}
	n := lookout(t, &replication.Membership{Version: 3, NextRaftID: 6, Members: []replication.Member{self}})
	n.identity, n.cfg.Servers, n.cfg.PeerAddr, n.cfg.Server.Listen, n.raftID = id, nil, "", nil, self.RaftID
	must(t, n.identity.Form(identity.Cluster{ID: 1, RaftID: self.RaftID, Roster: rosterOf(n.members())}))
	n.follow(&replication.Membership{Version: 4, NextRaftID: 6, Members: place4.Members[:1]})
	if !n.members().Excludes(self.RaftID) {
		t.Error("it does not follow its removal")
	}
	n.known.Store(noted(n.identity.Cluster()))
	n.fillAddresses()
	if n.cfg.PeerAddr != "127.0.0.1:7" || !slices.Equal(n.cfg.Server.Listen, []string{"127.0.0.1:6"}) {
		t.Errorf("after a restart it listens at %q and %q", n.cfg.PeerAddr, n.cfg.Server.Listen)
	}
	must(t, n.identity.Close())
}
