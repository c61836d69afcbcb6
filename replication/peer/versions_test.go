package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testcerts"
	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

// TestVersionsInCommon: the greatest that both speak, whoever asks.
func TestVersionsInCommon(t *testing.T) {
	for _, c := range []struct {
		ours, theirs Versions
		want         uint64
		sentence     string
	}{
		{Versions{Least: 8, Greatest: 8}, Versions{Least: 8, Greatest: 8}, 8, ""},
		{Versions{Least: 8, Greatest: 10}, Versions{Least: 8, Greatest: 9}, 9, ""},
		{Versions{Least: 9, Greatest: 10}, Versions{Least: 8, Greatest: 9}, 9, ""},
		{Versions{Least: 9, Greatest: 10}, Versions{Least: 8, Greatest: 8}, 0, "peer speaks version 8, this program 9 to 10: run the same raftcached everywhere"},
		{Versions{Least: 8, Greatest: 8}, Versions{Least: 9, Greatest: 11}, 0, "peer speaks version 9 to 11, this program 8: run the same raftcached everywhere"},
	} {
		got, err := c.ours.common(c.theirs)
		back, _ := c.theirs.common(c.ours)
		if got != c.want || back != got || (err == nil) != (c.want > 0) || err != nil && err.Error() != c.sentence {
			t.Errorf("%+v and %+v: %d, %d, %v", c.ours, c.theirs, got, back, err)
		}
	}
}

// TestHelloOfAProgramOfVersion8: one that tells no range is heard as ever, and what this
// program tells behind its hello is none of its business. What later programs tell there is
// passed over.
func TestHelloOfAProgramOfVersion8(t *testing.T) {
	h := Hello{Versions: Versions{Least: 8, Greatest: 12, Known: 5, Cluster: 4}, Lineage: lineage(1), Roster: &identity.Roster{Version: 1}}
	b := encodeHello(&h)
	old := b[:len(b)-len(h.Versions.append(nil))]
	got, err := readHello(old)
	if want := (Versions{Least: 8, Greatest: 8, Known: 1, Cluster: 1}); err != nil || got.Versions != want {
		t.Errorf("read as %+v, %v, want %+v", got.Versions, err, want)
	}
	r := frame.NewReader(b) // as such a program reads it
	n, err := r.ArrayLen(helloFields)
	must(t, err)
	kind, err := r.Uint64()
	must(t, err)
	version, err := r.Uint64()
	if err != nil || n != helloFields || kind != kindHello || version != 8 {
		t.Errorf("%d values, kind %d, version %d, %v", n, kind, version, err)
	}
	more := frame.AppendArrayLen(old[:len(old):len(old)], 5)
	for _, n := range []uint64{12, 5, 4, 99} {
		more = frame.AppendUint(more, n)
	}
	if got, err := readHello(frame.AppendString(more, "what nobody knows yet")); err != nil || got.Versions != h.Versions {
		t.Errorf("of a later program: %+v, %v", got.Versions, err)
	}
	for _, bad := range [][]byte{frame.AppendArrayLen(nil, 2), (Versions{Greatest: 7}).append(nil)} {
		if _, err := readHello(append(old[:len(old):len(old)], bad...)); err == nil {
			t.Errorf("% x behind a hello is read", bad)
		}
	}
	for _, version := range []uint64{7, protocolGreatest + 1} {
		h.Versions.Least = version
		if _, err := readHello(encodeHello(&h)); err == nil || !strings.Contains(err.Error(), "run the same raftcached everywhere") {
			t.Errorf("of version %d: %v", version, err)
		}
	}
}

// speaks has a node tell another range than its program has.
func (n *node) speaks(least, greatest uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.self.Versions.Least, n.self.Versions.Greatest = least, greatest
}

// greeting dials a node as another one, and returns what that one makes of the node.
func (n *node) greeting(t *testing.T, to *node) (*Hello, error) {
	t.Helper()
	conn, err := net.Dial("tcp", to.Addr().String())
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return n.greetOn(conn, StreamControl)
}

// TestNodesOfSeveralVersions: nodes whose ranges overlap use the greatest version in common.
// Others are told what each speaks.
func TestNodesOfSeveralVersions(t *testing.T) {
	nodes := threeNodes(t)
	nodes[0].speaks(8, 11)
	nodes[1].speaks(8, 10)
	for i, want := range []uint64{1: 10, 2: 8} {
		if i == 0 {
			continue
		}
		for _, pair := range [][2]*node{{nodes[0], nodes[i]}, {nodes[i], nodes[0]}} {
			h, err := pair[0].greeting(t, pair[1])
			if err != nil || h.Speaks != want {
				t.Errorf("server 0 and server %d speak %+v, %v, want version %d", i, h, err, want)
			}
		}
	}
	nodes[0].speaks(9, 11)
	for _, pair := range [][2]*node{{nodes[0], nodes[2]}, {nodes[2], nodes[0]}} {
		_, err := pair[0].greeting(t, pair[1])
		if !errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), "run the same raftcached everywhere") {
			t.Errorf("without a version in common: %v", err)
		}
	}
}

// raised is the roster of a cluster whose version was raised.
func (n *node) raised(t *testing.T, version uint64) {
	t.Helper()
	r := *n.inbox.members.Load()
	r.Version++
	r.ClusterVersion = version
	n.follow(&r)
}

// TestProgramsThatDoNotKnowTheClusterVersion: a member whose program is too old, and a
// folder that wants to come in with one, are told what to run. If the program understands
// that it is meant, it ends.
func TestProgramsThatDoNotKnowTheClusterVersion(t *testing.T) {
	const sentence = "the cluster has version 2, and the program of server 1 knows 1: run a newer raftcached there"
	list := members(3)
	known := func(c *Config) { c.Known = 2 }
	a, b := listen(t, list[:2], 0, known), listen(t, list[:2], 1, nil)
	c := formAll(t, a, b)
	if _, err := b.greeting(t, a); err != nil {
		t.Fatalf("in a cluster of version 1: %v", err)
	}
	a.raised(t, 2)
	a.raised(t, 1) // it never falls
	for _, n := range []*node{a, b} {
		_, err := n.greeting(t, map[*node]*node{a: b, b: a}[n])
		if want := n == b; errors.As(err, new(*LaterError)) != want || !strings.Contains(err.Error(), sentence) {
			t.Errorf("server %d is told %v", n.config.ServerID, err)
		}
	}
	must(t, b.Close())
	b = listen(t, list[:2], 1, nil)
	b.take(c)
	if err := <-b.inbox.excluded; !errors.As(err, new(*LaterError)) || err.Error() != sentence {
		t.Errorf("it ends with %v", err)
	}
	joiner := listen(t, list, 2, nil)
	if _, err := join(t, joiner, list[:1]); !errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), strings.Replace(sentence, "server 1", "server 2", 1)) {
		t.Errorf("who wants to come in is told %v", err)
	}
	must(t, b.Close())
	b = listen(t, list[:2], 1, known)
	b.take(c)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
}

// TestUnprovedVersionEndsNobody: while a secret or TLS is optional, who has proved nothing is
// asked again, whatever version of the cluster it tells. Who has proved to be a server ends
// a program that is too old, and so does anybody where nobody can prove it.
func TestUnprovedVersionEndsNobody(t *testing.T) {
	later := func() error { return &LaterError{"the cluster has version 99"} }
	for _, c := range []struct {
		name   string
		config Config
		proved bool
		ends   bool
	}{
		{"secretOptional", Config{Secret: []byte("sixteen bytes ok"), Optional: true}, false, false},
		{"TLS optional", Config{TLS: &TLS{Optional: true}}, false, false},
		{"proved", Config{Secret: []byte("sixteen bytes ok")}, true, true},
		{"nobody can prove it", Config{}, false, true},
	} {
		transport := &Transport{config: c.config}
		err := transport.doubt(later(), c.proved)
		if ends := errors.As(err, new(*LaterError)); ends != c.ends {
			t.Errorf("%s: %v ends the server: %v, want %v", c.name, err, ends, c.ends)
		}
		if refused := new(RefusedError); !c.ends && (!errors.As(err, &refused) || !refused.Unproved) {
			t.Errorf("%s: %#v, want a doubtful refusal", c.name, err)
		}
	}
}

// TestNoVersionInCommonEndsNobody: servers that form a cluster, and one that joins it, go on asking
// a server whose program speaks no version that theirs does, and say so. Another program there
// mends it.
func TestNoVersionInCommonEndsNobody(t *testing.T) {
	all := guards(testcerts.NewAuthority(t, "ours"))
	all["nothing"] = func(*Config) {}
	for name, guard := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const sentence = "run the same raftcached everywhere"
			list := members(3)
			var logs [2]logged
			open := func(id int) *node {
				return listen(t, list[:2], id, func(c *Config) {
					guard(c)
					c.Logger = slog.New(slog.NewTextHandler(&logs[id], nil))
				})
			}
			a, b := open(0), open(1)
			b.speaks(protocolGreatest+1, protocolGreatest+2)
			ctx, cancel := context.WithCancel(t.Context())
			formed, theirs := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := a.form(t.Context())
				formed <- err
			}()
			go func() {
				_, err := b.form(ctx)
				theirs <- err
			}()
			for id := range logs {
				wantLogged(t, fmt.Sprint("server ", id), &logs[id], "not taken for a peer", sentence)
			}
			cancel()
			if err := <-theirs; !errors.Is(err, context.Canceled) {
				t.Fatalf("the server with the other program ends with %v", err)
			}
			must(t, b.Close())
			b = open(1)
			cluster, err := b.form(t.Context())
			must(t, err)
			must(t, <-formed)
			a.take(cluster)
			b.take(cluster)

			a.config.Admit = admitting(a, cluster, &[]Joiner{})
			b.config.Admit = func(context.Context, Joiner) error { return errors.New("server 0 leads") }
			a.speaks(protocolGreatest+1, protocolGreatest+2)
			var log logged
			c := listen(t, list, 2, func(c *Config) {
				guard(c)
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			joined := make(chan error, 1)
			go func() {
				_, err := join(t, c, list[:1])
				joined <- err
			}()
			wantLogged(t, "who joins", &log, "not taken for a peer", sentence)
			a.speaks(protocolLeast, protocolGreatest)
			must(t, <-joined)
		})
	}
}
