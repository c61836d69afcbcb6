package peer

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/testcerts"
)

// optionalTLS has a node use TLS with those alone that have it.
func optionalTLS(ca *testcerts.Authority, log *logged) func(*Config) {
	return func(c *Config) {
		keys := named(ca, c.ServerID)
		keys.Optional = true
		withTLS(keys, log)(c)
	}
}

// TestSpokenTLSStays: who has spoken TLS with a node is not dialed without it any more, though
// somebody on the way ends every handshake, by closing or by a reset, and says at last that there
// is no TLS. Nor is he let in without.
func TestSpokenTLSStays(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(2)
	var log logged
	a, b := listen(t, list, 0, optionalTLS(ca, &log)), listen(t, list, 1, optionalTLS(ca, nil))
	formAll(t, a, b)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
	forged := b.self
	forged.Stream, forged.Lineage = StreamControl, lineage(1, 2)
	must(t, b.Close())

	l, err := net.Listen("tcp", address(list[1]))
	must(t, err)
	const attempts = 30 // of three streams
	firsts := make(chan byte, 10*attempts)
	var served sync.WaitGroup
	served.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			first := make([]byte, helloBytesMax)
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if read, _ := conn.Read(first); read > 0 && len(firsts) < cap(firsts) {
				firsts <- first[0]
			}
			switch n % 3 {
			case 1:
				_ = conn.(*net.TCPConn).SetLinger(0)
			case 2:
				_, _ = io.WriteString(conn, "there is no TLS")
			}
			_ = conn.Close()
		}
	})
	for range attempts {
		if first := <-firsts; first != recordTypeHandshake {
			t.Fatalf("it is dialed without TLS: the first byte is %d", first)
		}
	}
	if err := shake(t, a.Addr(), &forged, ""); err == nil || !strings.Contains(err.Error(), "server 1 is without TLS now, and has used it with server 0 before: if it is to do without again, restart server 0") {
		t.Errorf("who comes without TLS as a server that has it: %v", err)
	}
	must(t, l.Close())
	served.Wait()
	wantLogged(t, "the node", &log, "it speaks no TLS at its log port, and has spoken it with this server before")
	if strings.Contains(log.String(), "a server is connected without TLS") {
		t.Errorf("it was connected without TLS: %s", &log)
	}
}

// TestPlainPeersAreTold once each: all three streams of a server that has no TLS yet are one line,
// and one more in the log of nobody when it has it.
func TestPlainPeersAreTold(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(3)
	var log logged
	a, b, c := listen(t, list, 0, optionalTLS(ca, &log)), listen(t, list, 1, nil), listen(t, list, 2, optionalTLS(ca, nil))
	formAll(t, a, b, c)
	for range 2 {
		<-a.inbox.restored
		<-b.inbox.restored
	}
	eventually(t, func() bool { return a.Connected(2) && a.Connected(3) && b.Connected(1) && c.Connected(1) })
	wantLogged(t, "the node", &log, "a server is connected without TLS")
	if text := log.String(); strings.Count(text, "a server is connected without TLS") != 1 || !strings.Contains(text, "server=1") {
		t.Errorf("it has logged %s", text)
	}
}

// TestPlainConnectionsEndWithTLS: a connection that was made without TLS, as somebody ended the
// handshakes, does not outlast the first one of the server in TLS.
func TestPlainConnectionsEndWithTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(2)
	a, b := listen(t, list, 0, optionalTLS(ca, nil)), listen(t, list, 1, nil)
	cluster := formAll(t, a, b)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
	must(t, b.Close())
	hello := b.self
	hello.Stream, hello.Lineage = StreamSnapshot, lineage(1) // b dials no such one, which would replace it
	conn := plainPeer(t, a, &hello)
	b = listen(t, list, 1, func(c *Config) { optionalTLS(ca, nil)(c); c.Lineage = lineage(1, 2) })
	b.take(cluster)
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("it goes on: %v", err)
	}
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) && a.secures(2) && b.secures(1) })
}

// plainPeer connects to a node as a server without TLS or a secret.
func plainPeer(t *testing.T, a *node, hello *Hello) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", a.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ours := encodeHello(hello)
	must(t, writeFrame(conn, ours))
	theirs, err := readFrame(conn)
	must(t, err)
	must(t, readProof(conn, proof(nil, acceptor, ours, theirs)))
	must(t, writeFrame(conn, appendContents(nil, kindProof, proof(nil, dialer, ours, theirs))))
	must(t, readAnswer(conn))
	return conn
}
