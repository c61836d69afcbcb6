package peer

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/replication/identity"
)

func TestFormationWaitsForAll(t *testing.T) {
	list := members(3)
	a, b := listen(t, list, 0, nil), listen(t, list, 1, nil)
	_, err := b.formRound(t.Context()) // so that it has met a
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := a.form(ctx); err == nil || !strings.Contains(err.Error(), "waited for server 2") {
		t.Fatalf("two of three: %v", err)
	}
	c := listen(t, list, 2, nil)
	cluster := formAll(t, a, b, c)
	if len(cluster.Members) != 3 || cluster.Members[2].DirectoryID != (identity.DirectoryID{3}) {
		t.Fatalf("formed %+v", cluster)
	}
}

// TestFormationIsLearnedLate: a node crashes before it could write down what was
// formed, and learns it from the others; a wiped one is told so.
func TestFormationIsLearnedLate(t *testing.T) {
	list := members(3)
	a, b, c := listen(t, list, 0, nil), listen(t, list, 1, nil), listen(t, list, 2, nil)
	cluster := formAll(t, a, b, c)
	must(t, c.Close())
	c = listen(t, list, 2, nil)
	if _, err := c.form(t.Context()); !errors.Is(err, ErrFormed) {
		t.Fatalf("it forms a cluster again: %v", err)
	}
	again, err := join(t, c, list[:2])
	if must(t, err); again.ID != cluster.ID || again.RaftID != 3 {
		t.Fatalf("learned cluster %x and raft id %d, want %x", again.ID, again.RaftID, cluster.ID)
	}
	must(t, c.Close())
	wiped := listen(t, list, 2, func(c *Config) { c.DirectoryID = identity.DirectoryID{99} })
	if _, err := wiped.form(t.Context()); !errors.Is(err, ErrFormed) {
		t.Fatalf("wiped node: %v", err)
	}
	if _, err := join(t, wiped, list[:2]); err == nil || !strings.Contains(err.Error(), "it is no member") {
		t.Fatalf("wiped node: %v", err)
	}
}

// TestFormationWaitsForThoseThatStart: while all the others read their logs, a node whose
// folder is empty does not take them for others like it. It learns that they are formed.
func TestFormationWaitsForThoseThatStart(t *testing.T) {
	list := members(3)
	a, b, c := listen(t, list, 0, nil), listen(t, list, 1, nil), listen(t, list, 2, nil)
	cluster := formAll(t, a, b, c)
	var formed []*node
	for i, n := range []*node{a, b} {
		must(t, n.Close())
		formed = append(formed, listen(t, list, i, func(c *Config) { c.Formed = true }))
	}
	must(t, c.Close())
	wiped := listen(t, list, 2, func(c *Config) { c.DirectoryID = identity.DirectoryID{99} })
	waiting, err := wiped.formRound(t.Context())
	if must(t, err); len(waiting) != 2 {
		t.Fatalf("it waits for %q", waiting)
	}
	for _, n := range formed {
		n.take(cluster)
	}
	if _, err := wiped.form(t.Context()); !errors.Is(err, ErrFormed) {
		t.Fatalf("when they have started: %v", err)
	}
}

// TestEndsWhileAPeerIsSilent: the system of a server whose process is stopped accepts
// connections, and nobody ever answers. Who ends does not wait until the handshake has taken
// too long, neither when it forms a cluster nor when it is a member.
func TestEndsWhileAPeerIsSilent(t *testing.T) {
	list := members(2)
	silent, err := net.Listen("tcp", address(list[1]))
	must(t, err)
	defer func() { _ = silent.Close() }()
	awaitHello := func() {
		conn, err := silent.Accept()
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = conn.Read(make([]byte, 1))
		must(t, err)
	}
	ended := make(chan struct{}, 1)
	ends := func(what string) {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(handshakeTimeout / 2):
			t.Errorf("%s waits for the silent server", what)
			<-ended
		}
	}

	a := listen(t, list, 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if _, err := a.form(ctx); err == nil {
			t.Error("a cluster was formed without the silent server")
		}
		ended <- struct{}{}
	}()
	awaitHello()
	cancel()
	ends("who forms a cluster")

	for i := range list {
		list[i].DirectoryID = identity.DirectoryID{byte(i + 1)}
	}
	a.take(identity.NewCluster(testConstants, list))
	for range 3 { // streams
		awaitHello()
	}
	go func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		ended <- struct{}{}
	}()
	ends("a member")
}

func TestRefusalsAtFormation(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"other limits", func(c *Config) { c.Constants.MemoryLimitBytes++ }, "same limits, ticks and leases"},
		{"other servers", func(c *Config) { c.Servers = c.Servers[:2] }, "same server.json"},
		{"another client port", func(c *Config) { c.Servers = slices.Clone(c.Servers); c.Servers[0].ClientPort = 7 }, "with port 7 for clients"},
	} {
		list := members(3)
		_ = listen(t, list, 0, nil)
		b := listen(t, list, 1, c.change)
		if _, err := b.form(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTwoFoldersOfOneServer: of two that are started under one id, on two machines, only that
// is believed which is where the server is listed. Otherwise there could be two clusters: the
// others would take whichever they heard of last.
func TestTwoFoldersOfOneServer(t *testing.T) {
	list, elsewhere := members(3), members(1)
	a, c := listen(t, list, 0, nil), listen(t, list, 2, nil)
	twin := listen(t, list, 1, func(c *Config) { c.DirectoryID, c.Listen = identity.DirectoryID{66}, address(elsewhere[0]) })
	rounds := func(nodes ...*node) (waiting []string) {
		t.Helper()
		for range 2 { // in the first they meet
			waiting = nil
			for _, n := range nodes {
				w, err := n.formRound(t.Context())
				must(t, err)
				waiting = append(waiting, w...)
			}
		}
		return waiting
	}
	wantWaiting := func(n *node, want string) {
		t.Helper()
		if waiting := rounds(n); len(waiting) != 2 || !strings.Contains(waiting[0], want) || !strings.Contains(waiting[1], want) {
			t.Errorf("server 1 waits for %q, want %q from both", waiting, want)
		}
	}
	wantFormed := func(folder byte, nodes ...*node) {
		t.Helper()
		if waiting := rounds(nodes...); len(waiting) > 0 {
			t.Errorf("they wait for %q", waiting)
		}
		_ = twin.greet(t.Context(), list[0]) // the last that server 0 hears of: it was believed by one, and not by the others
		for _, n := range nodes {
			if m := n.formed().Members[1]; m.DirectoryID != (identity.DirectoryID{folder}) {
				t.Errorf("server %d forms a cluster with folder %v of server 1, want %x", n.config.ServerID, m.DirectoryID, folder)
			}
		}
	}
	rounds(a, c)
	wantWaiting(twin, "has not reached server 1 yet")
	b := listen(t, list, 1, nil)
	wantFormed(2, a, b, c)
	wantWaiting(twin, "two servers have the id 1, with data folder 02")
	wantFormed(2, a, b, c)

	must(t, b.Close()) // and its folder is wiped before the cluster is formed
	b = listen(t, list, 1, func(c *Config) { c.DirectoryID = identity.DirectoryID{77} })
	wantWaiting(b, "with data folder 02")
	wantFormed(77, a, b, c)
}
