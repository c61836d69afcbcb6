package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/settings"
)

// writeUsers writes a file of users.
func writeUsers(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUsersAreReadAgain: Reload replaces the users by those of the file, and keeps
// them if the file is invalid.
func TestUsersAreReadAgain(t *testing.T) {
	cfg := loneConfig(t)
	cfg.AuthFile = filepath.Join(t.TempDir(), "users")
	writeUsers(t, cfg.AuthFile, "foo:bar\n")
	n := openNode(t, cfg)
	const login, denied = "C: set login 0 0 7\nC: foo bar\n", "S: CLIENT_ERROR authentication failure\n"
	play(t, n, "C: get k\nS: CLIENT_ERROR unauthenticated\n"+login+"S: STORED\nC: get k\nS: END\n")

	writeUsers(t, cfg.AuthFile, "foo:bar\nrubbish\n")
	if err := n.Reload(); err == nil {
		t.Error("a file with a bad line was taken")
	}
	play(t, n, login+"S: STORED\n")

	writeUsers(t, cfg.AuthFile, "foo:baz\n")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	play(t, n, login+denied+"C: set login 0 0 7\nC: foo baz\nS: STORED\n")
}

func TestNodeNeedsItsUsers(t *testing.T) {
	cfg := loneConfig(t)
	cfg.AuthFile = filepath.Join(t.TempDir(), "users")
	_, err := Open(t.Context(), cfg)
	if ce := (*settings.Error)(nil); !errors.As(err, &ce) {
		t.Errorf("without the file: %v, want a *settings.Error", err)
	}
}

// TestMembersOfACluster: each server lists all, as clients reach them.
func TestMembersOfACluster(t *testing.T) {
	nodes := openCluster(t)
	awaitLeader(t, nodes)
	list := "1\n127.0.0.1|127.0.0.1|1 127.0.0.1|127.0.0.1|2 127.0.0.1|127.0.0.1|3\n"
	for _, n := range nodes {
		play(t, n, fmt.Sprintf("C: config get cluster\nS: CONFIG cluster 0 %d\nS: 1\\n127.0.0.1|127.0.0.1|1 "+
			"127.0.0.1|127.0.0.1|2 127.0.0.1|127.0.0.1|3\\n\nS: END\n", len(list)))
	}
}

// TestMembersOfALoneNode: it is where the client has found it.
func TestMembersOfALoneNode(t *testing.T) {
	n := openNode(t, loneConfig(t))
	addr := n.ClientAddrs()[0].String()
	_, members := n.Members(addr)
	if len(members) != 1 || joinHostPort(members[0].Host, members[0].Port) != addr {
		t.Errorf("a node at %s lists %v", addr, members)
	}
	list := "1\n" + strings.ReplaceAll(addr, ":", "|127.0.0.1|") + "\n"
	play(t, n, fmt.Sprintf("C: config get cluster\nS: CONFIG cluster 0 %d\nS: %s\nS: END\n", len(list), strings.ReplaceAll(list, "\n", "\\n")))
}
