package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"raftcached/replication/identity"
)

// admitting has a node admit a third server, and count how often it was asked.
func admitting(a *node, c identity.Cluster, asked *[]Joiner) func(context.Context, Joiner) error {
	return func(_ context.Context, j Joiner) error {
		*asked = append(*asked, j)
		if len(*asked) == 1 {
			return errors.New("an election is on")
		}
		if len(*asked) == 2 {
			m := identity.Member{ServerID: j.ServerID, RaftID: 3, DirectoryID: j.DirectoryID, Host: j.Host, LogPort: j.LogPort, Learner: true}
			a.follow(&identity.Roster{Version: 1, NextRaftID: 4, Members: append(slices.Clone(c.Members), m)})
			return errors.New("this server was slow")
		}
		return nil
	}
}

// TestJoin: an empty folder is made a member, by a member that its operator has not
// named, and is told so however often it has to ask.
func TestJoin(t *testing.T) {
	list := members(3)
	var (
		asked []Joiner
		admit func(context.Context, Joiner) error
	)
	a := listen(t, list[:2], 0, func(c *Config) { c.Constants.MemoryLimitBytes++ })
	a.config.Admit = func(ctx context.Context, j Joiner) error { return admit(ctx, j) }
	b := listen(t, list[:2], 1, func(c *Config) { c.Constants.MemoryLimitBytes++ })
	b.config.Admit = func(context.Context, Joiner) error { return errors.New("server 0 leads") }
	c := formAll(t, a, b)
	admit = admitting(a, c, &asked)
	third := listen(t, list, 2, nil)
	joined, err := join(t, third, list[1:2])
	must(t, err)
	if joined.ID != c.ID || joined.RaftID != 3 || joined.Roster.Version != 1 || len(joined.Members) != 2 || joined.Constants != c.Constants {
		t.Fatalf("joined %+v", joined)
	}
	if len(asked) != 3 || asked[0] != (Joiner{ServerID: 2, DirectoryID: identity.DirectoryID{3}, Host: list[2].Host, LogPort: list[2].LogPort}) {
		t.Errorf("asked %+v", asked)
	}
	third.take(joined)
	<-third.inbox.restored
	eventually(t, func() bool { return a.Connected(3) })
}

// TestJoinRefusals: what stays as it is ends the attempt.
func TestJoinRefusals(t *testing.T) {
	list := members(2)
	secret := []byte("open sesame")
	a := listen(t, list[:1], 0, func(c *Config) { c.Secret = secret })
	formAll(t, a)
	for _, c := range []struct {
		name    string
		refusal error
		change  func(*Config)
		want    string
	}{
		{"not awaited", refuse("run `raftcachectl member add 1`"), nil, "member add 1"},
		{"another folder", &OutdatedError{"another folder is there"}, nil, "another folder"},
		{"removed", &RemovedError{"it was removed"}, nil, "it was removed"},
		{"other ticks", nil, func(c *Config) { c.Constants.TickMs++ }, "start it with those of the cluster"},
	} {
		a.config.Admit = func(context.Context, Joiner) error { return c.refusal }
		b := listen(t, list, 1, func(b *Config) {
			b.Secret = secret
			if c.change != nil {
				c.change(b)
			}
		})
		if _, err := join(t, b, list[:1]); err == nil || !strings.Contains(err.Error(), c.want) || !final(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		must(t, b.Close())
	}
}

// TestJoinAtAnotherPort: who asks at a port of a server that is not for servers is told which
// one it is.
func TestJoinAtAnotherPort(t *testing.T) {
	for answer, want := range map[string]string{
		"ERROR\r\n":                        "this is a port for clients, not one for servers: name the log port",
		"HTTP/1.1 400 Bad Request\r\n\r\n": "this is an admin port, not one for servers: name the log port",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		served := make(chan struct{})
		go func() {
			defer close(served)
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_, _ = conn.Read(make([]byte, 1<<10)) // whatever it was
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}
		}()
		at := members(2)[:1]
		at[0].Host, at[0].LogPort = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		b := listen(t, members(2), 1, nil)
		if _, err := join(t, b, at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it is told %v, want %q", err, want)
		}
		must(t, errors.Join(l.Close(), b.Close()))
		<-served
	}
}
