package peer

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

// shake plays a dialer: it sends the hello h, and a proof with the secret. It returns
// how it was answered.
func shake(t *testing.T, addr net.Addr, h *Hello, secret string) error {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	ours := encodeHello(h)
	must(t, writeFrame(conn, ours))
	theirs, err := readFrame(conn)
	must(t, err)
	if _, err := readHello(theirs); err != nil {
		return err
	}
	if err := readProof(conn, proof([]byte(secret), acceptor, ours, theirs)); err != nil {
		return err
	}
	must(t, writeFrame(conn, appendContents(nil, kindProof, proof([]byte(secret), dialer, ours, theirs))))
	if err := readAnswer(conn); err != nil || h.Stream != StreamJoin {
		return err
	}
	answer, err := readFrame(conn)
	must(t, err)
	_, err = readHello(answer)
	return err
}

// TestRefusalsOfMembers checks who may open a stream.
func TestRefusalsOfMembers(t *testing.T) {
	nodes := threeNodes(t)
	good := nodes[1].self
	good.Lineage = lineage(1, 2, 3)
	good.Stream = StreamControl
	if err := shake(t, nodes[0].Addr(), &good, ""); err != nil {
		t.Fatalf("a member: %v", err)
	}
	for _, c := range []struct {
		name     string
		change   func(*Hello)
		want     string
		excluded bool
	}{
		{"another cluster", func(h *Hello) { h.ClusterID++ }, "do not mix data folders", false},
		{"unknown server", func(h *Hello) { h.ServerID = 7 }, "is that of server 1, member 2", false},
		{"wiped folder", func(h *Hello) { h.DirectoryID[0] = 9 }, "server 1 was replaced by folder 02", true},
		{"another raft id", func(h *Hello) { h.RaftID = 3 }, "calls itself member 3", false},
		{"older copy", func(h *Hello) { h.Lineage = lineage(1, 2) }, "its start 3 was seen before, and this is start 2; run `raftcachectl member replace 1`", true},
		{"twin", func(h *Hello) { h.Lineage = lineage(1, 2, 4) }, "started for the time number 3 twice", true},
		{"older copy started often", func(h *Hello) { h.Lineage = lineage(1, 2, 4, 5, 6) }, "started for the time number 3 twice", true},
		{"older copy that was never formed", func(h *Hello) {
			h.ClusterID, h.RaftID, h.Stream, h.Lineage = 0, 0, StreamJoin, lineage(1, 2)
		}, "its start 3 was seen before", true},
		{"start out of reach", func(h *Hello) { h.Lineage.Boot = 1 << 60 }, "too far", false},
		{"no start", func(h *Hello) { h.Lineage = identity.Lineage{} }, "0 incarnations", false},
		{"unknown stream", func(h *Hello) { h.Stream = 77 }, "stream 77 is unknown", false},
		{"a secret", func(h *Hello) { h.Guard = Guarded }, "server 1 has a secret for the log port and server 0 has none", false},
	} {
		h := good
		c.change(&h)
		err := shake(t, nodes[0].Addr(), &h, "")
		var (
			refused  *RefusedError
			outdated *OutdatedError
			removed  *RemovedError
		)
		excluded := errors.As(err, &outdated) || errors.As(err, &removed)
		if !errors.As(err, &refused) && !excluded || excluded != c.excluded || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q, excluded: %v", c.name, err, c.want, c.excluded)
		}
		if err := shake(t, nodes[0].Addr(), &good, ""); err != nil {
			t.Errorf("the member after %s: %v", c.name, err)
		}
	}
}

// TestSecret guards the log port: a hello alone counts for nothing.
func TestSecret(t *testing.T) {
	list := members(2)
	guarded := func(c *Config) { c.Secret = []byte("open sesame") }
	a, b := listen(t, list, 0, guarded), listen(t, list, 1, guarded)
	formAll(t, a, b)
	<-a.inbox.restored
	good := b.self
	good.Stream = StreamControl
	if err := shake(t, a.Addr(), &good, "open sesame"); err != nil {
		t.Fatalf("with the secret: %v", err)
	}
	high := good
	high.Lineage = lineage(1, 2, 3, 4)
	if err := shake(t, a.Addr(), &high, "open wheat"); !errors.Is(err, errWrongSecret) {
		t.Errorf("the acceptor proves another secret: %v", err)
	}
	// A dialer that does not care what the acceptor proves.
	conn, err := net.Dial("tcp", a.Addr().String())
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	ours := encodeHello(&high)
	must(t, writeFrame(conn, ours))
	theirs, err := readFrame(conn)
	must(t, err)
	_, err = readFrame(conn)
	must(t, err)
	must(t, writeFrame(conn, appendContents(nil, kindProof, proof([]byte("open wheat"), dialer, ours, theirs))))
	if err := readAnswer(conn); err == nil || !strings.Contains(err.Error(), "its secret for the log port is another one") {
		t.Errorf("without the secret: %v", err)
	}
	open := good
	open.Guard = Open
	if err := shake(t, a.Addr(), &open, ""); err == nil || !strings.Contains(err.Error(), "server 0 has a secret for the log port and server 1 has none") {
		t.Errorf("with no secret: %v", err)
	}
	if err := shake(t, a.Addr(), &good, "open sesame"); err != nil {
		t.Errorf("a garbage hello has raised the boot number: %v", err)
	}
}

// TestProof differs for whatever one side may have chosen.
func TestProof(t *testing.T) {
	base := proof([]byte("s"), dialer, []byte("a"), []byte("b"))
	for i, other := range [][]byte{
		proof([]byte("t"), dialer, []byte("a"), []byte("b")), proof([]byte("s"), acceptor, []byte("a"), []byte("b")),
		proof([]byte("s"), dialer, []byte("b"), []byte("a")), proof([]byte("s"), dialer, []byte("ab"), nil),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("proof %d is the same", i)
		}
	}
	r := frame.NewReader(appendContents(nil, kindProof, base))
	if kind, err := readKind(&r); err != nil || kind != kindProof {
		t.Errorf("kind %d, %v", kind, err)
	}
}

// TestOutdatedNodeIsTold: a node with an older copy of its folder learns that from any
// peer, and says so to its handler.
func TestOutdatedNodeIsTold(t *testing.T) {
	list := members(2)
	a := listen(t, list, 0, nil)
	b := listen(t, list, 1, func(c *Config) { c.Lineage = lineage(1, 2) })
	cluster := formAll(t, a, b)
	<-a.inbox.restored
	<-b.inbox.restored
	must(t, b.Close())
	b = listen(t, list, 1, nil) // as of its first start
	b.take(cluster)
	if err := <-b.inbox.excluded; !strings.Contains(err.Error(), "its start 2 was seen before, and this is start 1") {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !a.Connected(2) }) // the connections of before may take a moment to end
}
