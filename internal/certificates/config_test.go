package certificates

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"raftcached/internal/testcerts"
)

// handshake shakes hands over a socket and returns what each side says of it.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	served := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			s := tls.Server(nc, server)
			if err = s.HandshakeContext(t.Context()); err == nil {
				_, err = s.Write([]byte{1}) // the client of TLS 1.3 gets tickets before it
			}
			_ = nc.Close()
		}
		served <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(nc, client)
	clientErr = c.HandshakeContext(t.Context())
	if clientErr != nil {
		_ = nc.Close()
	}
	_, _ = c.Read(make([]byte, 1)) // or that it was refused
	serverErr = <-served           // a client of TLS 1.3 is done before the server has seen its certificate
	_ = nc.Close()
	return c.ConnectionState(), serverErr, clientErr
}

// open returns a Keyring on the files server.pem, server.key and ca.pem of a folder.
func open(t *testing.T, dir string, ca *testcerts.Authority) *Keyring {
	t.Helper()
	chain, key := ca.Issue("server").Write(dir, "server")
	k, err := Open(Files{Chain: chain, Key: key, CA: write(t, dir, "ca.pem", ca.ChainPEM)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDemands(t *testing.T) {
	ca, stranger := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	k := open(t, t.TempDir(), ca)
	for _, test := range []struct {
		name   string
		demand Demand
		client *tls.Config
		want   string // in the server's error; empty: none
	}{
		{"not wanted", NotWanted, ca.Client(), ""},
		{"not wanted, shown", NotWanted, ca.Client(stranger.Issue("c")), ""},
		{"wanted, none", Wanted, ca.Client(), ""},
		{"wanted, ours", Wanted, ca.Client(ca.Issue("c")), ""},
		{"wanted, expired", Wanted, ca.Client(ca.Issue("c", testcerts.Expired)), "expired"},
		{"needed, none", Needed, ca.Client(), "didn't provide a certificate"},
		{"needed, ours", Needed, ca.Client(ca.Issue("c")), ""},
		{"needed, expired", Needed, ca.Client(ca.Issue("c", testcerts.Expired)), "expired"},
		{"needed, too early", Needed, ca.Client(ca.Issue("c", testcerts.Early)), "not yet valid"},
		{"needed, a server's", Needed, ca.Client(ca.Issue("c", testcerts.ForServers)), "incompatible key usage"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := test.client.Clone()
			client.MaxVersion = version
			_, err, _ := handshake(t, k.Server(ServerOptions{Clients: test.demand}), client)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s with %s: %v, want %q", test.name, tls.VersionName(version), err, test.want)
			}
		}
	}
}

// TestStrangersCertificate, which a client shows although the server has not named its
// authority, is refused.
func TestStrangersCertificate(t *testing.T) {
	ca, stranger := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	k := open(t, t.TempDir(), ca)
	theirs := stranger.Issue("c").TLS()
	client := ca.Client()
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &theirs, nil }
	for _, demand := range []Demand{Wanted, Needed} {
		if _, err, _ := handshake(t, k.Server(ServerOptions{Clients: demand}), client); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("demand %d: %v, want that the authority is unknown", demand, err)
		}
	}
}

// TestReloadChangesTheNextHandshake, and only for the better: the certificate that is
// shown, and whose certificates are believed.
func TestReloadChangesTheNextHandshake(t *testing.T) {
	dir := t.TempDir()
	first, second := testcerts.NewAuthority(t, "first"), testcerts.NewAuthority(t, "second")
	k := open(t, dir, first)
	server := k.Server(ServerOptions{Clients: Needed})
	if _, err, _ := handshake(t, server, first.Client(first.Issue("c"))); err != nil {
		t.Fatal(err)
	}
	read := k.Read()
	second.Issue("server").Write(dir, "server")
	write(t, dir, "ca.pem", second.ChainPEM)
	if err := k.Reload(); err != nil || !k.Read().After(read) {
		t.Fatalf("reload: %v, read at %s and before at %s", err, k.Read(), read)
	}
	state, serverErr, clientErr := handshake(t, server, second.Client(second.Issue("c")))
	if serverErr != nil || clientErr != nil || state.PeerCertificates[0].Issuer.CommonName != "second" {
		t.Errorf("after a reload: server %v, client %v", serverErr, clientErr)
	}
	old := second.Client()
	was := first.Issue("c").TLS()
	old.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &was, nil }
	if _, err, _ := handshake(t, server, old); err == nil {
		t.Error("the authority that was replaced is still believed")
	}
}

// TestNoSessionIsResumed: a client that comes again shows its certificate again.
func TestNoSessionIsResumed(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	k := open(t, t.TempDir(), ca)
	client := ca.Client(ca.Issue("c"))
	client.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	server := k.Server(ServerOptions{Clients: Needed})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client.MaxVersion = version
		for range 3 {
			state, err, _ := handshake(t, server, client)
			if err != nil || state.DidResume {
				t.Errorf("%s: resumed: %t, %v", tls.VersionName(version), state.DidResume, err)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	k := open(t, t.TempDir(), ca)
	for _, test := range []struct {
		min, client uint16
		ok          bool
	}{
		{0, tls.VersionTLS11, false},
		{0, tls.VersionTLS12, true},
		{tls.VersionTLS10, tls.VersionTLS11, false},
		{tls.VersionTLS12, tls.VersionTLS13, true},
		{tls.VersionTLS13, tls.VersionTLS12, false},
		{tls.VersionTLS13, tls.VersionTLS13, true},
	} {
		client := ca.Client()
		client.MinVersion, client.MaxVersion = tls.VersionTLS10, test.client
		state, err, _ := handshake(t, k.Server(ServerOptions{MinVersion: test.min}), client)
		if (err == nil) != test.ok || test.ok && state.Version != test.client {
			t.Errorf("minimum %#x, client %#x: %v, spoke %#x", test.min, test.client, err, state.Version)
		}
	}
}

// TestClient: servers that know one another by their certificates.
func TestClient(t *testing.T) {
	ca, stranger := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	k, other := open(t, t.TempDir(), ca), open(t, t.TempDir(), stranger)
	server := k.Server(ServerOptions{Clients: Needed})
	if _, s, c := handshake(t, server, k.Client(ClientOptions{ServerName: "localhost"})); s != nil || c != nil {
		t.Errorf("server %v, client %v", s, c)
	}
	if _, _, err := handshake(t, server, k.Client(ClientOptions{ServerName: "elsewhere"})); err == nil || !strings.Contains(err.Error(), "not elsewhere") {
		t.Errorf("a server of another name: %v", err)
	}
	if _, _, err := handshake(t, server, other.Client(ClientOptions{ServerName: "localhost"})); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another authority: %v", err)
	}
	refused := errors.New("not this one")
	verify := func(s tls.ConnectionState) error {
		if s.PeerCertificates[0].Subject.CommonName != "server" {
			t.Errorf("it is %s", s.PeerCertificates[0].Subject)
		}
		return refused
	}
	if _, s, _ := handshake(t, k.Server(ServerOptions{Clients: Needed, Verify: verify}), k.Client(ClientOptions{ServerName: "localhost"})); !errors.Is(s, refused) {
		t.Errorf("a server that refuses: %v", s)
	}
	if _, _, c := handshake(t, server, k.Client(ClientOptions{ServerName: "localhost", Verify: verify})); !errors.Is(c, refused) {
		t.Errorf("a client that refuses: %v", c)
	}
}
