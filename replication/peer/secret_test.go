package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"raftcached/replication/frame"
)

// guardedPair returns two members that know the same secret.
func guardedPair(t *testing.T) (a, b *node) {
	t.Helper()
	list := members(2)
	guarded := func(c *Config) { c.Secret = []byte("open sesame") }
	a, b = listen(t, list, 0, guarded), listen(t, list, 1, guarded)
	formAll(t, a, b)
	return a, b
}

// TestReplayedProof: what proved the secret on one connection proves nothing on the next,
// with the same hello: the other side's differs.
func TestReplayedProof(t *testing.T) {
	a, b := guardedPair(t)
	h := b.self
	h.Stream, h.Nonce = StreamControl, [nonceBytes]byte{7}
	hello := encodeHello(&h)
	var replayed []byte
	for attempt := range 2 {
		conn, err := net.Dial("tcp", a.Addr().String())
		must(t, err)
		must(t, writeFrame(conn, hello))
		theirs, err := readFrame(conn)
		must(t, err)
		must(t, readProof(conn, proof(a.config.Secret, acceptor, hello, theirs)))
		if attempt == 0 {
			replayed = proof(a.config.Secret, dialer, hello, theirs)
		}
		must(t, writeFrame(conn, appendContents(nil, kindProof, replayed)))
		err = readAnswer(conn)
		if attempt == 0 {
			must(t, err)
		} else if !errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), "its secret for the log port is another one") {
			t.Errorf("a proof that was seen is answered %v", err)
		}
		must(t, conn.Close())
	}
}

// TestReflectedChallenge: who sends back to a node what it asks has it answer itself. It
// is told what it is not: a peer.
func TestReflectedChallenge(t *testing.T) {
	a, _ := guardedPair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	go func() { // joins a node's dialed connection to its own log port
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", a.Addr().String())
		if err == nil {
			go func() { _, _ = io.Copy(out, in) }()
			_, _ = io.Copy(in, out)
			_ = out.Close()
		}
		_ = in.Close()
	}()
	conn, _, err := a.dial(t.Context(), l.Addr().String(), 1, StreamControl)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), "server 0 has reached itself") {
		t.Errorf("a node that is sent its own hello says %v", err)
	}
}

// TestImpostorCannotEndANode: only who has proved the secret may say that a data folder is
// no good.
func TestImpostorCannotEndANode(t *testing.T) {
	a, _ := guardedPair(t)
	for _, kind := range []uint64{kindOutdated, kindRemoved} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = readFrame(conn)
			_ = writeFrame(conn, frame.AppendString(frame.AppendUint(frame.AppendArrayLen(nil, 2), kind), "end"))
			_ = conn.Close()
		}()
		_, _, err = a.dial(t.Context(), l.Addr().String(), 1, StreamControl)
		if !errors.As(err, new(*RefusedError)) || errors.As(err, new(*OutdatedError)) || errors.As(err, new(*RemovedError)) {
			t.Errorf("a stranger's word of kind %d is taken as %T: %v", kind, err, err)
		}
		must(t, l.Close())
	}
}

// TestSecretComesServerByServer: while it is optional, servers with it and without find
// each other, in any order. Two that have it use it.
func TestSecretComesServerByServer(t *testing.T) {
	list := members(2)
	starts := map[int][]uint64{}
	open := func(id int, secret string, optional bool) *node {
		starts[id] = append(starts[id], uint64(len(starts[id])+1))
		return listen(t, list, id, func(c *Config) { c.Secret, c.Optional, c.Lineage = []byte(secret), optional, lineage(starts[id]...) })
	}
	nodes := []*node{open(0, "", false), open(1, "", false)}
	cluster := formAll(t, nodes...)
	for i, step := range []struct {
		server   int
		secret   string
		optional bool
		apart    bool // after it
	}{
		{0, "open sesame", true, false},
		{1, "open sesame", true, false},
		{0, "another one", true, true}, // an optional secret may be missing, and not be wrong
		{0, "open sesame", false, false},
		{1, "open sesame", false, false},
		{1, "", false, true},
		{0, "open sesame", true, false}, // and back
		{0, "", false, false},
	} {
		must(t, nodes[step.server].Close())
		nodes[step.server] = open(step.server, step.secret, step.optional)
		nodes[step.server].take(cluster)
		if step.apart {
			_, _, err := nodes[0].dial(t.Context(), address(list[1]), 1, StreamControl)
			if !errors.As(err, new(*RefusedError)) || !strings.Contains(err.Error(), "secret for the log port") {
				t.Errorf("step %d: %v", i, err)
			}
			continue
		}
		eventually(t, func() bool { return nodes[0].Connected(2) && nodes[1].Connected(1) })
	}
}

// TestGuardsInHellos: an older program reads the first two as before.
func TestGuardsInHellos(t *testing.T) {
	for guard, want := range map[Guard]byte{Open: 0xc2, Guarded: 0xc3, GuardOptional: 2} {
		b := appendGuard(nil, guard)
		if !bytes.Equal(b, []byte{want}) {
			t.Errorf("guard %d is % x", guard, b)
		}
		f := fields{Reader: frame.NewReader(b)}
		if got := f.guard(); got != guard || f.err != nil {
			t.Errorf("guard %d is read as %d, %v", guard, got, f.err)
		}
	}
	f := fields{Reader: frame.NewReader([]byte{3})}
	if _ = f.guard(); f.err == nil {
		t.Errorf("a guard that is none is read, and left % x", f.Rest())
	}
}
