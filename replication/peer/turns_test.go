package peer

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"raftcached/internal/handshake"
	"raftcached/internal/testcerts"
)

// computeAll has handshakes of another port compute on all processors that there are for that,
// until the function that it returns is called.
func computeAll(t *testing.T, port *handshake.Port) (release func()) {
	t.Helper()
	var computing []*handshake.Conn
	for range handshake.Turns() {
		a, b := net.Pipe()
		c := port.Conn(a)
		go func() { _, _ = b.Write([]byte{1}) }()
		_, err := c.Read(make([]byte, 1))
		must(t, err)
		computing = append(computing, c)
	}
	return func() {
		for _, c := range computing {
			c.Over()
		}
	}
}

// TestHandshakesTakeTurns: while others compute, none of those at the log port does, and the
// oldest give way all the same. When it is their turn, a peer gets in.
func TestHandshakesTakeTurns(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	list := members(2)
	keys := named(ca, 0)
	var began atomic.Int64 // handshakes that have computed
	server := keys.Server
	keys.Server = func(verify func(tls.ConnectionState) error) *tls.Config {
		cfg := server(verify)
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			began.Add(1)
			return nil, nil
		}
		return cfg
	}
	processors := handshake.NewProcessors()
	release := computeAll(t, processors.Port())
	a := listen(t, list, 0, func(c *Config) { c.TLS, c.Handshakes = keys, processors.Port() })
	b := listen(t, list, 1, withTLS(named(ca, 1), nil))

	const over = 20
	var ended, answered atomic.Int64
	hello := clientHello(t, ca)
	for range handshakesMax + over {
		conn, err := net.Dial("tcp", a.Addr().String())
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, err = conn.Write(hello)
		must(t, err)
		go func() {
			n, _ := io.Copy(io.Discard, conn) // however it ends
			answered.Add(n)
			ended.Add(1)
		}()
	}
	eventually(t, func() bool { return ended.Load() == over }) // while they wait for their turn
	if n := began.Load(); n > 0 || answered.Load() > 0 {
		t.Errorf("%d handshakes compute, and all the processors for that are taken; %d bytes are answered", n, answered.Load())
	}
	release()
	formAll(t, a, b)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
}

// clientHello is the first flight of a client.
func clientHello(t *testing.T, ca *testcerts.Authority) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, ca.Client()).Handshake()
		_ = a.Close()
	}()
	head := make([]byte, 5)
	_, err := io.ReadFull(b, head)
	must(t, err)
	body := make([]byte, int(head[3])<<8|int(head[4]))
	_, err = io.ReadFull(b, body)
	must(t, err)
	must(t, b.Close())
	return append(head, body...)
}
