package node

import (
	"errors"
	"strings"
	"testing"

	"raftcached/internal/settings"
	"raftcached/replication"
)

// TestServersAreCompared: a difference between server.json and the members gives a line
// that names a command. Nothing keeps the server from starting.
func TestServersAreCompared(t *testing.T) {
	formed := func() *replication.Membership {
		return &replication.Membership{NextRaftID: 4, Members: []replication.Member{
			{ServerID: 0, RaftID: 1, Host: "127.0.0.1", ClientPort: 11, LogPort: 12},
			{ServerID: 1, RaftID: 2, Host: "127.0.0.1", ClientPort: 21, LogPort: 22},
			{ServerID: 2, RaftID: 3, Host: "127.0.0.1", LogPort: 32}, // of a cluster without client ports
		}}
	}
	listed := func() []Server {
		return []Server{
			{ID: 0, Host: "127.0.0.1", ClientPort: 11, LogPort: 12},
			{ID: 1, Host: "127.0.0.1", ClientPort: 21, LogPort: 22},
			{ID: 2, Host: "127.0.0.1", ClientPort: 31, LogPort: 32},
		}
	}
	changed := func(m *replication.Membership) { m.Version = 1 }
	for _, c := range []struct {
		name    string
		config  func(s []Server) []Server
		members func(m *replication.Membership)
		want    []string // a text in each line
	}{
		{"the same", nil, nil, nil},
		{"another name", func(s []Server) []Server { s[0].Host, s[1].Host = "localhost", "localhost"; return s }, nil, nil},
		{"own address", func(s []Server) []Server { s[0].LogPort = 99; return s }, nil, []string{
			"the other servers look for this one at 127.0.0.1:12, and for clients :11: if the listed address is the right one, run `raftcachectl member move 0 --host 127.0.0.1 --port 11 --log-port 99`",
		}},
		{"own address after changes", func(s []Server) []Server { s[0].Host = "192.0.2.1"; return s }, changed, []string{"run `raftcachectl member move 0 --host 192.0.2.1"}},
		{"another's address", func(s []Server) []Server { s[1].ClientPort = 29; return s }, nil, []string{
			"server 1 is listed at 127.0.0.1:22, and for clients :29 and is looked for at 127.0.0.1:22, and for clients :21: if the listed address is the right one, run `raftcachectl member move 1",
		}},
		{"more and less", func(s []Server) []Server {
			return append(s[:2], Server{ID: 7, Host: "h", ClientPort: 71, LogPort: 72})
		}, nil, []string{
			"server 2 is a member of the cluster and is not listed: if it is to go, run `raftcachectl member remove 2`",
			"server 7 is listed and is no member of the cluster: to add it, run `raftcachectl member add 7 --host h --port 71 --log-port 72`",
		}},
		{"joined without a list", func([]Server) []Server { return nil }, changed, nil},
		{"joined with the others' list", func(s []Server) []Server { return s[1:] }, changed, nil},
		{"after changes", func(s []Server) []Server { s[1].LogPort = 29; return s[:2] }, changed, nil},
		{"a lone node", func(s []Server) []Server { s[0].LogPort = 99; return s[:1] }, func(m *replication.Membership) { m.Members = m.Members[:1] }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var warned warnings
			m, servers := formed(), listed()
			if c.members != nil {
				c.members(m)
			}
			if c.config != nil {
				servers = c.config(servers)
			}
			n := lookout(t, m)
			n.cfg.Logger, n.cfg.Servers, n.cfg.PeerAddr = warned.logger(), servers, "127.0.0.1:12"
			if err := n.compareServers(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(warned.String(), "\n"), "\n")
			if len(c.want) == 0 && got[0] == "" {
				return
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d lines, want %d: %q", len(got), len(c.want), got)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("line is\n%s\nwant\n%s", got[i], want)
				}
			}
		})
	}
}

// TestClusterNeedsALogPort: a member of a cluster does not start as a node alone.
func TestClusterNeedsALogPort(t *testing.T) {
	n := lookout(t, place4)
	var wrong *settings.Error
	if err := n.compareServers(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "start it with the cluster's -config and -id") {
		t.Errorf("without a log port: %v", err)
	}
}
