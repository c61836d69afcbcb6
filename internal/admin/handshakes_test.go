package admin

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/handshake"
	"raftcached/internal/testcerts"
)

// compute has a handshake of another port compute until it is over.
func compute(t *testing.T, port *handshake.Port) *handshake.Conn {
	t.Helper()
	a, b := net.Pipe()
	c := port.Conn(a)
	go func() { _, _ = b.Write([]byte{1}) }()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// dials opens connections that each say something, and returns how many have been closed.
func dials(t *testing.T, addr string, n int, say []byte) *atomic.Int64 {
	t.Helper()
	ended := new(atomic.Int64)
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write(say); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn) // however it ends
			ended.Add(1)
		}()
	}
	return ended
}

// clientHello is the first flight of a client.
func clientHello(t *testing.T, ca *testcerts.Authority) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, ca.Client()).Handshake()
		_ = a.Close()
	}()
	hello := make([]byte, 64<<10)
	n, err := b.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	return hello[:n]
}

// TestHandshakesTakeTurns: while others compute, none of those at the admin port does, and the
// oldest give way all the same. When it is their turn, a probe is answered.
func TestHandshakesTakeTurns(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	var began atomic.Int64 // handshakes that have computed
	processors := handshake.NewProcessors()
	var computing []*handshake.Conn
	for range handshake.Turns() {
		computing = append(computing, compute(t, processors.Port()))
	}
	s, err := Listen(Config{Addr: "127.0.0.1:0", Handshakes: processors.Port(), Logger: slog.New(slog.DiscardHandler), TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(certnames.Server(0)).TLS()},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			began.Add(1)
			return nil, nil
		},
	}}, &fakeNode{state: StateOK})
	if err != nil {
		t.Fatal(err)
	}
	const over = 20
	ended := dials(t, s.Addr().String(), connsMax+over, clientHello(t, ca))
	await(t, func() bool { return ended.Load() == over })
	if n := began.Load(); n > 0 {
		t.Errorf("%d handshakes compute, and all the processors for that are taken", n)
	}
	for _, c := range computing {
		c.Over()
	}
	if ready, why, err := clientWith(t, ca, nil).Ready(t.Context(), s.Addr().String()); !ready {
		t.Errorf("a probe after them: %s, %v", why, err)
	}
	if err := s.Close(); err != nil { // ends those that are under way
		t.Error(err)
	}
	await(t, func() bool { return ended.Load() == connsMax+over })
}

// TestSilentHandshakesKeepNobodyOut: a thousand that never end, at any byte of their first
// message, leave room for a probe, and for one that has asked before.
func TestSilentHandshakesKeepNobodyOut(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	addr := serveTLS(t, ca, &fakeNode{state: StateOK})
	hello := clientHello(t, ca)
	client := clientWith(t, ca, ca.Issue(certnames.Operator))
	for i := range 100 {
		dials(t, addr, 10, hello[:i*len(hello)/100])
		if ready, why, err := client.Ready(t.Context(), addr); !ready {
			t.Fatalf("after %d: %s, %v", 10*(i+1), why, err)
		}
	}
}

// await waits until a condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
