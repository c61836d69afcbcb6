package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/testcerts"
)

// shake shakes hands over a socket, and returns how it has ended for each side. The client is
// a function, since it may be one that does something else.
func shake(t *testing.T, server *tls.Config, client func(net.Conn) error) (serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			err = tls.Server(conn, server).HandshakeContext(ctx)
			_ = conn.Close()
		}
		served <- err
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	clientErr = client(conn)
	serverErr = <-served
	_ = conn.Close()
	return serverErr, clientErr
}

// speaking is a client of TLS, which reads what the server says to its certificate.
func speaking(c *tls.Config) func(net.Conn) error {
	return func(conn net.Conn) error {
		s := tls.Client(conn, c)
		err := s.Handshake()
		if err != nil {
			_ = conn.Close()
			return err
		}
		_, err = s.Read(make([]byte, 1))
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	}
}

// TestReasons: what makes a handshake fail is counted as that, by who notices and by who is told.
func TestReasons(t *testing.T) {
	ours, theirs := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "theirs")
	server := func(shown *testcerts.Certificate) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{shown.TLS()}, ClientCAs: ours.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
			VerifyConnection: func(s tls.ConnectionState) error { return certnames.CheckServer(s.PeerCertificates[0]) },
		}
	}
	good := ours.Issue(certnames.Server(1))
	showing := func(c *testcerts.Certificate) *tls.Config {
		own, config := c.TLS(), ours.Client()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		return config
	}
	old := showing(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	elsewhere := showing(good)
	elsewhere.ServerName = "elsewhere"
	stranger := theirs.Client(good)
	const none = ReasonCount // it succeeds
	for _, c := range []struct {
		name           string
		server         *tls.Config
		client         func(net.Conn) error
		served, dialed Reason
	}{
		{"good", server(good), speaking(showing(good)), none, none},
		{"no certificate", server(good), speaking(ours.Client()), NoCertificate, Refused},
		{"another authority's", server(good), speaking(showing(theirs.Issue(certnames.Server(1)))), UnknownAuthority, Refused},
		{"expired", server(good), speaking(showing(ours.Issue(certnames.Server(1), testcerts.Expired))), Expired, Refused},
		{"not valid yet", server(good), speaking(showing(ours.Issue(certnames.Server(1), testcerts.Early))), Expired, Refused},
		{"for servers only", server(good), speaking(showing(ours.Issue(certnames.Server(1), testcerts.ForServers))), BadCertificate, Refused},
		{"not a server's", server(good), speaking(showing(ours.Issue(certnames.Client))), BadCertificate, Refused},
		{"a client that expects another authority's", server(good), speaking(stranger), Refused, UnknownAuthority},
		{"a client that expects another name", server(good), speaking(elsewhere), Refused, BadCertificate},
		{"a server whose certificate has expired", server(ours.Issue(certnames.Server(0), testcerts.Expired)), speaking(showing(good)), Refused, Expired},
		{"old", server(good), speaking(old), Protocol, Refused},
		{"without TLS", server(good), func(c net.Conn) error { _, err := c.Write([]byte("get a\r\n")); return err }, NotTLS, none},
		{"nothing but an end", server(good), func(c net.Conn) error { return c.Close() }, Closed, none},
		{"nothing", server(good), func(net.Conn) error { return nil }, Timeout, none},
	} {
		var served, dialed Counter
		serverErr, clientErr := shake(t, c.server, c.client)
		served.Count(serverErr)
		dialed.Count(clientErr)
		for _, side := range []struct {
			name  string
			tally Tally
			want  Reason
			err   error
		}{{"server", served.Tally(), c.served, serverErr}, {"client", dialed.Tally(), c.dialed, clientErr}} {
			var want Tally
			if side.want == none {
				want.Done = 1
			} else {
				want.Failed[side.want] = 1
			}
			if side.tally != want || side.tally.Done+side.tally.Failures() != 1 {
				t.Errorf("%s: the %s counts %+v, want %+v (%v)", c.name, side.name, side.tally, want, side.err)
			}
		}
	}
}

// TestReasonsHaveNames, each another one, of letters that a label may have.
func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range ReasonCount {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d is called %q", r, r)
		}
		seen[r.String()] = true
	}
}
