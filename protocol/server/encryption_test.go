package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
	"raftcached/protocol/server/stats"
)

// encrypt has a server speak TLS. reload is what refresh_certs runs.
func encrypt(ca *testcerts.Authority, reload func() error) func(*Options) {
	return func(o *Options) {
		o.Encryption = &Encryption{
			Config: &tls.Config{Certificates: []tls.Certificate{ca.Issue("server").TLS()}, MinVersion: tls.VersionTLS12},
			Reload: reload,
			Settings: stats.Encryption{
				Chain: "chain.pem", Key: "key.pem", VerifyMode: 2, MinVersion: "tlsv1.3",
				Read: func() time.Time { return time.Unix(1_700_000_000, 0) },
			},
		}
	}
}

// TestRefreshCerts: the loop goes on while the files are read, and what waits behind is
// answered after it, in order.
func TestRefreshCerts(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	reads := make(chan error)
	s := start(t, newMemory(), encrypt(ca, func() error { return <-reads }))
	dial := func() *testclient.Client { return testclient.DialTLS(t, s.Addr().String(), ca.Client()) }
	c, other := dial(), dial()
	c.Send("set a 0 0 1", "1", "refresh_certs", "get a")
	c.Expect("STORED")
	other.Send("set a 0 0 1", "2")
	other.Expect("STORED")
	reads <- nil
	c.Expect("OK", "VALUE a 0 1", "2", "END")

	c.Send("refresh_certs with words behind")
	reads <- errors.New("key file \"k\r\nOK\" is gone")
	c.Expect(`SERVER_ERROR the certificates stay as they were: key file "k  OK" is gone`)

	c.Send("refresh_certs") // and the client leaves
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	reads <- nil
	other.Send("version")
	other.Expect("VERSION 1.6.45")
}

// TestRefreshCertsWithoutTLS is as with a memcached that was built without it.
func TestRefreshCertsWithoutTLS(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.Send("refresh_certs", "version")
	c.Expect("ERROR", "VERSION 1.6.45")
	for name := range c.Stats("settings") {
		if strings.HasPrefix(name, "ssl") {
			t.Errorf("STAT %s", name)
		}
	}
}

func TestStatsOfTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	s := start(t, newMemory(), encrypt(ca, nil), func(o *Options) {
		o.Now = func() time.Time { return time.Unix(1_700_000_090, 0) }
	})
	bad := dial(t, s)
	bad.Send("get a") // without TLS
	bad.ExpectClosed()
	c := testclient.DialTLS(t, s.Addr().String(), ca.Client())
	cut := testclient.DialTLS(t, s.Addr().String(), ca.Client())
	if _, err := cut.TCPConn.Write([]byte("get a\r\n")); err != nil { // within TLS
		t.Fatal(err)
	}
	if _, err := io.ReadAll(cut); err == nil { // an alert comes before the end
		t.Error("garbage within TLS was taken")
	}
	plain := c.Stats("")
	for name, want := range map[string]string{"ssl_handshake_errors": "1", "ssl_proto_errors": "1", "time_since_server_cert_refresh": "90"} {
		if plain[name] != want {
			t.Errorf("STAT %s %s, want %s", name, plain[name], want)
		}
	}
	settings := c.Stats("settings")
	for name, want := range map[string]string{
		"ssl_enabled": "yes", "ssl_chain_cert": "chain.pem", "ssl_key": "key.pem", "ssl_verify_mode": "3", "ssl_keyformat": "1", "ssl_ciphers": "NULL",
		"ssl_ca_cert": "NULL", "ssl_session_cache": "no", "ssl_kernel_tls": "no", "ssl_min_version": "tlsv1.3",
	} {
		if settings[name] != want {
			t.Errorf("STAT %s %s, want %s", name, settings[name], want)
		}
	}
}

// TestTLSOnAPlainPort: who speaks TLS to a port without it is answered in plaintext, as
// memcached does, and is let go.
func TestTLSOnAPlainPort(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) { o.PartialTimeout = 100 * time.Millisecond })
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	err = tls.Client(nc, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).Handshake()
	if err == nil || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a handshake with a port without TLS: %v", err)
	}
	_ = nc.Close()
	await(t, "the connection is gone", func() bool { return s.engine.Counts().Open == 0 })
}

// TestPlainAddresses: the last addresses may be without TLS.
func TestPlainAddresses(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	s := start(t, newMemory(), encrypt(ca, nil), func(o *Options) {
		o.Listen, o.Encryption.Plain = append(o.Listen, "127.0.0.1:0"), 1
	})
	plain, secure := testclient.Dial(t, s.Addrs()[1].String()), testclient.DialTLS(t, s.Addr().String(), ca.Client())
	plain.Send("set a 0 0 1", "1")
	plain.Expect("STORED")
	secure.Send("get a")
	secure.Expect("VALUE a 0 1", "1", "END")
}
