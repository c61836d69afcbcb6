package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
)

// secured is a cluster that serves clients with TLS, and needs their certificates.
type secured struct {
	*cluster.Cluster
	dir string
	ca  *testcerts.Authority
}

// startSecured starts servers with TLS, and waits until all serve. Each has files of its
// own beside server.json: the setting names them alike.
func startSecured(t *testing.T, servers int) (context.Context, *secured) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	s := &secured{dir: t.TempDir(), ca: testcerts.NewAuthority(t, "authority")}
	must(t, os.WriteFile(filepath.Join(s.dir, "ca.pem"), s.ca.ChainPEM, 0o600))
	s.ca.Issue("first").Write(s.dir, "server")
	c, err := cluster.New(cluster.Options{
		Executable: executable, Dir: s.dir, Servers: servers,
		Settings: map[string]any{
			"tls": true, "tlsCert": "server.pem", "tlsKey": "server.key", "tlsCA": "ca.pem", "tlsVerify": 2,
			"requestTimeoutMs": requestPatience.Milliseconds(),
		},
	})
	must(t, err)
	s.Cluster = c
	t.Cleanup(func() {
		cancel()
		must(t, c.Close())
		for _, server := range c.Servers {
			if report := server.Race(); report != "" {
				t.Errorf("server %d has a data race:%s", server.ID, report)
			}
			if t.Failed() {
				t.Logf("server %d logged:\n%s", server.ID, server.LogTail())
			}
		}
	})
	for _, server := range c.Servers {
		must(t, server.Start())
	}
	for _, server := range c.Servers {
		s.awaitServing(ctx, t, server)
	}
	return ctx, s
}

// client is the configuration of a client that is let in.
func (s *secured) client() *tls.Config { return s.ca.Client(s.ca.Issue("client")) }

// ask sends a line on a connection of its own, and returns the lines of the answer up to
// one that ends answers.
func (s *secured) ask(ctx context.Context, server *cluster.Server, line string) ([]string, *tls.ConnectionState, error) {
	dialer := tls.Dialer{Config: s.client()}
	nc, err := dialer.DialContext(ctx, "tcp", server.ClientAddr)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = nc.Close() }() // the answer was read or does not matter
	if err := nc.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(nc, line+"\r\n"); err != nil {
		return nil, nil, err
	}
	state := nc.(*tls.Conn).ConnectionState()
	var lines []string
	for in := bufio.NewScanner(nc); in.Scan(); {
		lines = append(lines, in.Text())
		if text := in.Text(); !strings.HasPrefix(text, "STAT ") && !strings.HasPrefix(text, "VALUE ") {
			return lines, &state, nil
		}
	}
	return lines, &state, errors.New("the server closed the connection")
}

// awaitServing waits until a server answers a get.
func (s *secured) awaitServing(ctx context.Context, t *testing.T, server *cluster.Server) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		lines, _, err := s.ask(ctx, server, "get ready")
		if err == nil && lines[0] != "END" {
			err = fmt.Errorf("get is answered %q", lines)
		}
		return err
	}))
}

// awaitCertificate waits until a server shows the certificate of a name.
func (s *secured) awaitCertificate(ctx context.Context, t *testing.T, server *cluster.Server, name string) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		_, state, err := s.ask(ctx, server, "version")
		if err == nil && state.PeerCertificates[0].Subject.CommonName != name {
			err = fmt.Errorf("server %d shows the certificate of %s, want %s", server.ID, state.PeerCertificates[0].Subject, name)
		}
		return err
	}))
}

// leader waits until a running server leads, and returns it.
func (s *secured) leader(ctx context.Context, t *testing.T) (leader *cluster.Server) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		for _, server := range s.Servers {
			lines, _, err := s.ask(ctx, server, "stats raft")
			if err == nil && strings.Contains(strings.Join(lines, "\n"), "STAT raft_state leader") {
				leader = server
				return nil
			}
		}
		return errors.New("no server leads")
	}))
	return leader
}

// gomemcache returns a client of other people that shows a certificate.
func (s *secured) gomemcache(t *testing.T, server *cluster.Server) *memcache.Client {
	c := clientOf(t, server)
	dialer := &tls.Dialer{Config: s.client()}
	c.DialContext = dialer.DialContext
	return c
}

// TestTLS: three servers serve clients with TLS. One is killed; another gets a new
// certificate at SIGHUP, a third by refresh_certs, and a bad file changes nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	ctx, s := startSecured(t, 3)
	var clients []*memcache.Client
	for _, server := range s.Servers {
		clients = append(clients, s.gomemcache(t, server))
	}
	for id, c := range clients {
		must(t, c.Set(&memcache.Item{Key: fmt.Sprint("key", id), Value: []byte(strings.Repeat("v", 500_000))}))
	}
	for id := range clients {
		wantEverywhere(t, clients, fmt.Sprint("key", id), strings.Repeat("v", 500_000))
	}

	dead := s.leader(ctx, t)
	must(t, dead.Kill())
	others := followersOf(s.Cluster, dead)
	must(t, clients[others[0].ID].Set(&memcache.Item{Key: "after", Value: []byte("the leader died")}))
	wantEverywhere(t, []*memcache.Client{clients[others[0].ID], clients[others[1].ID]}, "after", "the leader died")

	lasting := testclient.DialTLS(t, others[0].ClientAddr, s.client())
	s.ca.Issue("second").Write(s.dir, "server")
	must(t, others[0].Process().Signal(syscall.SIGHUP))
	s.awaitCertificate(ctx, t, others[0], "second")
	s.awaitCertificate(ctx, t, others[1], "first") // it got no signal
	lasting.Send("get after")
	lasting.Expect("VALUE after 0 15", "the leader died", "END")

	if lines, _, err := s.ask(ctx, others[1], "refresh_certs"); err != nil || lines[0] != "OK" {
		t.Errorf("refresh_certs is answered %q, %v", lines, err)
	}
	s.awaitCertificate(ctx, t, others[1], "second")

	s.ca.Issue("third", testcerts.Expired).Write(s.dir, "server")
	lines, _, err := s.ask(ctx, others[1], "refresh_certs")
	if err != nil || !strings.HasPrefix(lines[0], "SERVER_ERROR the certificates stay as they were: ") || !strings.Contains(lines[0], "CN=third expired at") {
		t.Errorf("refresh_certs with an expired certificate is answered %q, %v", lines, err)
	}
	must(t, others[0].Process().Signal(syscall.SIGHUP))
	awaitLog(ctx, t, others[0], "CN=third expired at")
	for _, server := range others {
		s.awaitCertificate(ctx, t, server, "second")
	}

	s.ca.Issue("fourth").Write(s.dir, "server")
	must(t, dead.Start())
	s.awaitCertificate(ctx, t, dead, "fourth")
	clients[dead.ID] = s.gomemcache(t, dead) // the other one has connections to the dead process
	wantEverywhere(t, clients, "after", "the leader died")
}

// TestTLSKeepsStrangersOut: none of those who should not get in does, whatever they try,
// and the server is as before when they are gone.
func TestTLSKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	ctx, s := startSecured(t, 1)
	server := s.Servers[0]
	client := s.gomemcache(t, server)
	must(t, client.Set(&memcache.Item{Key: "secret", Value: []byte("treasure")}))
	before := descriptorsOf(t, server)

	stranger := testcerts.NewAuthority(t, "stranger")
	forged := stranger.Issue("client").TLS()
	tenTen := s.ca.Client(s.ca.Issue("client"))
	tenTen.MinVersion, tenTen.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	pushy := s.ca.Client()
	pushy.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged, nil }
	for name, config := range map[string]*tls.Config{
		"no certificate": s.ca.Client(), "a stranger's": pushy, "an old version": tenTen,
		"an expired one": s.ca.Client(s.ca.Issue("client", testcerts.Expired)), "one to come": s.ca.Client(s.ca.Issue("client", testcerts.Early)),
		"a server's": s.ca.Client(s.ca.Issue("client", testcerts.ForServers)),
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := config.Clone()
			if config.MaxVersion == 0 {
				config.MaxVersion = version
			}
			if got := steal(t, server.ClientAddr, config); got != "" {
				t.Errorf("%s, with %s: got %q", name, tls.VersionName(version), got)
			}
		}
	}
	if got := steal(t, server.ClientAddr, nil); got != "" {
		t.Errorf("without TLS: got %q", got)
	}

	var slow []net.Conn
	for i := range 2000 { // above the connections that there may be
		nc, err := net.DialTimeout("tcp", server.ClientAddr, clientTimeout)
		must(t, err)
		defer func() { _ = nc.Close() }()
		if _, err := nc.Write([]byte("\x16\x03\x01\x02\x00\x01")[:i%7]); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		slow = append(slow, nc)
	}
	if lines, _, err := s.ask(ctx, server, "get nothing"); err != nil || lines[0] != "END" {
		t.Errorf("beside slow handshakes, get is answered %q, %v", lines, err)
	}
	for _, nc := range slow {
		_ = nc.Close()
	}
	must(t, cluster.Await(ctx, func() error {
		if now := descriptorsOf(t, server); now > before {
			return fmt.Errorf("%d descriptors are open, %d before", now, before)
		}
		return nil
	}))
	wantEverywhere(t, []*memcache.Client{client}, "secret", "treasure")
}

// steal asks for an item, with TLS or without, and returns what comes.
func steal(t *testing.T, addr string, config *tls.Config) string {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, clientTimeout)
	must(t, err)
	defer func() { _ = nc.Close() }()
	must(t, nc.SetDeadline(time.Now().Add(clientTimeout)))
	if config != nil {
		nc = tls.Client(nc, config)
	}
	_, _ = io.WriteString(nc, "get secret\r\n") // the server may have closed the connection
	got, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	return string(got)
}

// descriptorsOf returns how many descriptors a server has open.
func descriptorsOf(t *testing.T, s *cluster.Server) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Process().Pid()))
	must(t, err)
	return len(open)
}

// TestOpenSSLClient: OpenSSL's client is served with both versions of TLS. It may change
// its keys, which is TLS 1.3's; it may not renegotiate, which is TLS 1.2's.
func TestOpenSSLClient(t *testing.T) {
	t.Parallel()
	openssl := needProgram(t, "openssl", "openssl")
	ctx, s := startSecured(t, 1)
	s.ca.Issue("client").Write(s.dir, "client")
	for _, test := range []struct{ version, command, then string }{
		{"-tls1_2", "version", "VERSION "},
		{"-tls1_3", "version", "VERSION "},
		{"-tls1_3", "K", "KEYUPDATE"},
		{"-tls1_3", "k", "KEYUPDATE"},
		{"-tls1_2", "R", "alert unexpected message"},
	} {
		run := startProgram(ctx, t, openssl, "s_client", "-connect", s.Servers[0].ClientAddr, test.version, "-CAfile", filepath.Join(s.dir, "ca.pem"),
			"-verify_return_error", "-cert", filepath.Join(s.dir, "client.pem"), "-key", filepath.Join(s.dir, "client.key"), "-crlf")
		run.send("version")
		run.await("VERSION ")
		run.send(test.command)
		run.await(test.then) // a command of s_client is the only one in its input
		if test.command != "R" {
			run.send("get nothing")
			run.await("END")
		}
		run.end()
	}
	if lines, _, err := s.ask(ctx, s.Servers[0], "get nothing"); err != nil || lines[0] != "END" {
		t.Errorf("get is answered %q, %v", lines, err)
	}
}
