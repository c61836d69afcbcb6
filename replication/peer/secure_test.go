package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/handshake"
	"raftcached/internal/seldom"
	"raftcached/internal/testcerts"
	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
)

// keysOf is how a node with a certificate of one authority speaks TLS, and believes
// another, which may be the same.
func keysOf(believed *testcerts.Authority, shown *testcerts.Certificate) *TLS {
	return &TLS{
		Server: func(verify func(tls.ConnectionState) error) *tls.Config {
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{shown.TLS()}, ClientCAs: believed.Pool(),
				ClientAuth: tls.RequireAndVerifyClientCert, VerifyConnection: verify, SessionTicketsDisabled: true,
			}
		},
		Client: func(name string) *tls.Config {
			own := shown.TLS()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, RootCAs: believed.Pool(), ServerName: name,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
			}
		},
	}
}

// obedient is server 1 of another cluster, which believes it, and shows its certificate to
// those alone who name its authority.
func obedient(a *testcerts.Authority) *TLS {
	keys := named(a, 1)
	keys.Client = func(name string) *tls.Config {
		c := a.Client(a.Issue(certnames.Server(1)))
		c.ServerName, c.InsecureSkipVerify = name, true
		return c
	}
	return keys
}

// named is keysOf a server of the authority's cluster.
func named(a *testcerts.Authority, serverID int) *TLS {
	return keysOf(a, a.Issue(certnames.Server(serverID)))
}

// withTLS has a node of a test use TLS, and log.
func withTLS(keys *TLS, log *logged) func(*Config) {
	return func(c *Config) {
		c.TLS = keys
		if log != nil {
			c.Logger = slog.New(slog.NewTextHandler(log, nil))
		}
	}
}

// logged is what a node has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wantLogged waits until a log has all the words.
func wantLogged(t *testing.T, who string, log *logged, words ...string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s has logged, and lacks one of %q:\n%s", who, words, log)
		}
	}()
	for _, word := range words {
		eventually(t, func() bool { return strings.Contains(log.String(), word) })
	}
}

// TestMutualTLS: messages, sub-batches and a snapshot, larger than a record of TLS, go
// both ways; a server that asks to come in does not know which one it asks.
func TestMutualTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(3)
	a, b := listen(t, list[:2], 0, withTLS(named(ca, 0), nil)), listen(t, list[:2], 1, withTLS(named(ca, 1), nil))
	c := formAll(t, a, b)
	for _, n := range []*node{a, b} {
		<-n.inbox.restored
	}
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
	m := message(1, 2, 7)
	m.Entries[0].Data = bytes.Repeat([]byte("e"), 100<<10)
	eventually(t, func() bool { return a.Send(m, 3) })
	if !b.Forward(1, bytes.Repeat([]byte("x"), 1<<20)) {
		t.Fatal("dropped")
	}
	if m := <-b.inbox.raft; m.GetType() != pb.MsgApp || len(m.GetEntries()[0].GetData()) != 100<<10 {
		t.Errorf("got %v", m.GetType())
	}
	if p := <-a.inbox.payloads; len(p) < 1<<20 {
		t.Errorf("got %d bytes", len(p))
	}
	image := bytes.Repeat([]byte("snapshot"), 1<<17)
	b.inbox.snapshots = func(_ []byte, _ int64, r io.Reader) error {
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, image) {
			err = fmt.Errorf("%d other bytes", len(got))
		}
		return err
	}
	done := make(chan error, 1)
	a.SendSnapshot(2, nil, int64(len(image)), io.NopCloser(bytes.NewReader(image)), func(err error) { done <- err })
	must(t, <-done)

	third := listen(t, list, 2, withTLS(named(ca, 2), nil))
	a.config.Admit = admitting(a, c, &[]Joiner{})
	b.config.Admit = a.config.Admit
	_, err := join(t, third, list[:1])
	must(t, err)
}

// attack is one that a connection is made by, of server 1 with server 0.
type attack struct {
	name         string
	dialer       *TLS // nil: plaintext
	acceptor     *TLS
	dialerSays   string
	acceptorSays string
	counted      handshake.Reason // by the acceptor; ReasonCount: TLS has succeeded
}

// counting is a TLS that counts, if it is one.
func counting(keys *TLS) *TLS {
	if keys == nil {
		return nil
	}
	return &TLS{Server: keys.Server, Client: keys.Client, Optional: keys.Optional, Fault: keys.Fault, Shaken: new(handshake.Counter)}
}

// TestAttacksOnTLS: each is refused, and both sides have a sentence in their logs that
// says why.
func TestAttacksOnTLS(t *testing.T) {
	ours, theirs := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "theirs")
	good := named(ours, 0)
	showing := func(a *testcerts.Authority, name string, change ...func(*x509.Certificate)) *TLS {
		return keysOf(ours, a.Issue(name, change...))
	}
	for _, c := range []attack{
		{"another cluster's", showing(theirs, certnames.Server(1)), good, "it refuses this server's certificate, or its TLS (unknown certificate authority)", "signed by an authority that is not in this server's CA file", handshake.UnknownAuthority},
		{"another cluster's acceptor", named(ours, 1), keysOf(ours, theirs.Issue(certnames.Server(0))), "signed by an authority that is not in this server's CA file", "it refuses this server's certificate, or its TLS (bad certificate)", handshake.Refused},
		{"none of this cluster", obedient(theirs), good, "(certificate required)", "it shows no certificate of an authority that is in this server's CA file", handshake.NoCertificate},
		{"expired", showing(ours, certnames.Server(1), testcerts.Expired), good, "(expired certificate)", "its certificate expired at 2", handshake.Expired},
		{"expired acceptor", named(ours, 1), showing(ours, certnames.Server(0), testcerts.Expired), "its certificate expired at 2", "(bad certificate)", handshake.Refused},
		{"not yet valid", showing(ours, certnames.Server(1), testcerts.Early), good, "(expired certificate)", "its certificate is valid from 2", handshake.Expired},
		{"for servers only", showing(ours, certnames.Server(1), testcerts.ForServers), good, "(bad certificate)", "extended key usages serverAuth and clientAuth", handshake.BadCertificate},
		{"a client's", showing(ours, certnames.Client), good, "(bad certificate)", "its certificate names localhost, client.raftcached, 127.0.0.1, ::1, and no server", handshake.BadCertificate},
		{"another server's", named(ours, 2), good, "server 1 shows a certificate that names localhost, server-2.raftcached", "server 1 shows a certificate that names localhost, server-2.raftcached", handshake.ReasonCount},
		{"another server's acceptor", named(ours, 1), named(ours, 2), "its certificate names localhost, server-2.raftcached, 127.0.0.1, ::1, not server-0.raftcached", "(bad certificate)", handshake.Refused},
		{"a name that looks like one", showing(ours, "server-01.raftcached"), good, "(bad certificate)", "and no server", handshake.BadCertificate},
		{"a wildcard", showing(ours, "*.raftcached"), good, "(bad certificate)", "and no server", handshake.BadCertificate},
		{"plaintext", nil, good, "server 1 has no TLS for the log port and server 0 demands it", "server 1 has no TLS for the log port and server 0 demands it", handshake.NotTLS},
		{"TLS on a plaintext port", named(ours, 1), nil, "it speaks no TLS at its log port, which this server demands", "it speaks TLS, and server 0 has none for the log port", handshake.ReasonCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := members(2)
			var dialed, accepted logged
			counted := counting(c.acceptor)
			a := listen(t, list, 0, withTLS(counted, &accepted))
			list[0].DirectoryID, list[1].DirectoryID = identity.DirectoryID{1}, identity.DirectoryID{2}
			cluster := identity.NewCluster(testConstants, list)
			a.Join(cluster, 1, a.inbox)
			b := newTransport(Config{
				ServerID: 1, DirectoryID: identity.DirectoryID{2}, Lineage: lineage(1), Memory: &memory{}, Constants: testConstants,
				Servers: list, TLS: c.dialer, Logger: slog.New(slog.NewTextHandler(&dialed, nil)),
			})
			inbox := newInbox()
			b.Join(cluster, 2, inbox)
			wantLogged(t, "the dialer", &dialed, c.dialerSays)
			wantLogged(t, "the acceptor", &accepted, c.acceptorSays)
			if b.Connected(1) {
				t.Error("it is connected")
			}
			if counted != nil {
				if got := counted.Shaken.Tally(); c.counted == handshake.ReasonCount && got.Failures() > 0 || c.counted < handshake.ReasonCount && (got.Done > 0 || got.Failures() == 0 || got.Failed[c.counted] != got.Failures()) {
					t.Errorf("the acceptor counts %+v, want %s", got, c.name)
				}
			}
			b.cancel()
			b.wg.Wait()
			if n := strings.Count(accepted.String(), c.acceptorSays); n != 1 {
				t.Errorf("the acceptor says it %d times: %s", n, &accepted)
			}
		})
	}
}

// TestTLSComesServerByServer: while it is optional, servers with it and without find each
// other, in any order, and use it where both have it. One that demands it lets in those
// that have it.
func TestTLSComesServerByServer(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(2)
	optional := func(id int) *TLS {
		keys := named(ca, id)
		keys.Optional = true
		return keys
	}
	starts := map[int]uint64{}
	open := func(id int, keys *TLS) *node {
		starts[id]++
		var incarnations []uint64
		for i := range starts[id] {
			incarnations = append(incarnations, i+1)
		}
		return listen(t, list, id, func(c *Config) { c.TLS, c.Lineage = keys, lineage(incarnations...) })
	}
	a, b := open(0, nil), open(1, nil)
	cluster := formAll(t, a, b)
	for _, step := range []struct {
		server int
		keys   *TLS
		secure bool // after it
	}{
		{0, optional(0), false},
		{1, optional(1), true},
		{1, named(ca, 1), true},
		{0, named(ca, 0), true},
		{1, optional(1), true},
		{0, optional(0), true},
		{0, nil, false},
		{1, nil, false}, // and back
	} {
		n := &a
		if step.server == 1 {
			n = &b
		}
		must(t, (*n).Close())
		*n = open(step.server, step.keys)
		(*n).take(cluster)
		if step.server == 0 && step.keys == nil { // the other one has met it in TLS
			awaitApart(t, a, b)
			must(t, b.Close())
			b = open(1, optional(1))
			b.take(cluster)
		}
		eventually(t, func() bool {
			return a.Connected(2) && b.Connected(1) && a.secures(2) == step.secure && b.secures(1) == step.secure
		})
		if step.secure != a.secures(2) {
			t.Errorf("server %d: TLS %v", step.server, a.secures(2))
		}
		eventually(t, func() bool { return a.Send(message(1, 2, 5), 0) })
		<-b.inbox.raft
	}
}

// awaitApart waits until server 1 has found that server 0 speaks no TLS any more, and keeps it
// out, whoever dials.
func awaitApart(t *testing.T, a, b *node) {
	t.Helper()
	eventually(t, func() bool {
		return strings.Contains(b.Sight(1).Why, "has spoken it with this server before") && strings.Contains(a.Sight(2).Why, "if it is to do without again, restart server 1")
	})
	if a.Connected(2) || b.Connected(1) {
		t.Error("they are connected, and one has spoken TLS before")
	}
}

// secures reports whether a peer has dialed this node in TLS.
func (n *node) secures(raftID uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, is := n.accepted[acceptKey{raftID, StreamControl}]
	_, secure := c.Conn.(secured)
	return is && secure
}

// TestBadHandshakesLeaveNothing: a thousand of them leave no descriptor, and TestMain
// looks for goroutines. A peer gets in beside them. The log has few lines of them.
func TestBadHandshakesLeaveNothing(t *testing.T) {
	ca, stranger := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	list := members(2)
	var log logged
	a, b := listen(t, list, 0, withTLS(named(ca, 0), &log)), listen(t, list, 1, withTLS(named(ca, 1), nil))
	cluster := formAll(t, a, b)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
	before := openFiles(t)
	strange := keysOf(stranger, stranger.Issue(certnames.Server(1)))
	const attempts = 1000
	silent := make([]net.Conn, 0, attempts)
	for i := range attempts {
		conn, err := net.Dial("tcp", a.Addr().String())
		must(t, err)
		switch i * 4 / attempts {
		case 0: // says nothing, all of them at one time
			silent = append(silent, conn)
			continue
		case 1:
			_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
		case 2:
			_, err = conn.Write([]byte{recordTypeHandshake, 3, 1, 255, 255, 1, 2, 3})
		case 3:
			c := tls.Client(conn, strange.Client(certnames.Server(0)))
			must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			if c.HandshakeContext(context.Background()) == nil {
				t.Fatal("a stranger's certificate is believed")
			}
		}
		must(t, err)
		must(t, conn.Close())
	}
	must(t, b.Close()) // it comes again
	b = listen(t, list, 1, func(c *Config) { c.TLS, c.Lineage = named(ca, 1), lineage(1, 2) })
	b.take(cluster)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
	for _, conn := range silent {
		must(t, conn.Close())
	}
	eventually(t, func() bool { return openFiles(t) <= before })
	if lines := strings.Count(log.String(), "\n"); lines > 3*seldom.ThingsMax {
		t.Errorf("%d lines", lines)
	}
	wantLogged(t, "the node", &log, "more than 64 connections are in their handshake")
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// TestOlderProgramIsMet: one from before there was TLS closes such a connection. Where TLS
// is optional it is dialed again without.
func TestOlderProgramIsMet(t *testing.T) {
	keys := named(testcerts.NewAuthority(t, "cluster"), 0)
	keys.Optional = true
	a := newTransport(Config{Lineage: lineage(1), TLS: keys, Logger: slog.New(slog.DiscardHandler)})
	for _, reset := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		firsts := make(chan byte, 2)
		go func() {
			for range 2 {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				first := make([]byte, 1)
				_, _ = io.ReadFull(conn, first)
				firsts <- first[0]
				if tcp, is := conn.(*net.TCPConn); is && reset {
					_ = tcp.SetLinger(0)
				} else {
					_, _ = conn.Read(make([]byte, helloBytesMax)) // the rest: it is not reset then
				}
				_ = conn.Close()
			}
		}()
		if _, _, err := a.dial(t.Context(), l.Addr().String(), 1, StreamControl); err == nil {
			t.Error("it is a peer")
		}
		eventually(t, func() bool { return len(firsts) == 2 })
		if first, second := <-firsts, <-firsts; first != recordTypeHandshake || second != 0 {
			t.Errorf("it is dialed with the first bytes %d and %d", first, second)
		}
		must(t, l.Close())
	}
	a.cancel()
}
