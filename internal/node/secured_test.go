package node

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/certnames"
	"raftcached/internal/metrics"
	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
)

// scraped is what a node tells Prometheus.
func scraped(n *Node) string {
	w := httptest.NewRecorder()
	metrics.Handler(n.sample).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestRefreshesAreToldOnce: a client may ask for the certificates to be read again as often as
// it likes. What is new about it is logged.
func TestRefreshesAreToldOnce(t *testing.T) {
	ca, dir := testcerts.NewAuthority(t, "cluster"), t.TempDir()
	cfg := loneConfig(t)
	chain, key := ca.Issue("clients").Write(dir, "clients")
	cfg.Encryption = &Encryption{Chain: chain, Key: key, MinVersion: 2}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	n := openNode(t, cfg)
	log.Reset()
	refresh := func(times int, want bool) {
		t.Helper()
		for range times {
			if err := n.refreshCertificates(); (err == nil) != want {
				t.Fatalf("read: %v, want %v", err, want)
			}
		}
	}
	refresh(3, true)
	if err := os.WriteFile(chain, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	refresh(3, false)
	ca.Issue("others").Write(dir, "clients")
	refresh(3, true)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{"read the certificates for clients again", "refresh_certs: the previous certificates stay", "read the certificates for clients again"} {
		if len(lines) != 3 || !strings.Contains(lines[i], want) {
			t.Fatalf("it logs %q", lines)
		}
	}
}

// TestFiguresOfTLS: each port that is in TLS tells its handshakes, its certificate and its
// reloads, to Prometheus, to clients and at the admin port.
func TestFiguresOfTLS(t *testing.T) {
	ca, dir := testcerts.NewAuthority(t, "cluster"), t.TempDir()
	cfg := loneConfig(t)
	chain, key := ca.Issue("clients").Write(dir, "clients")
	cfg.Encryption = &Encryption{Chain: chain, Key: key, MinVersion: 2}
	cfg.PeerFiles = keysFor(t, dir, ca, cfg.ServerID)
	cfg.AdminAddr = ":0"
	n := openNode(t, cfg)

	client := testclient.DialTLS(t, n.front.Addr().String(), ca.Client())
	plain := testclient.Dial(t, n.front.Addr().String())
	plain.Send("get a")
	if _, err := io.ReadAll(plain); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	operator := ca.Client(ca.Issue(certnames.Operator))
	certnames.VerifyServer(operator)
	looks := admin.Client{TLS: operator}
	defer looks.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(n.admin.Addr().String(), "[::]"), ":")
	status := func() *admin.Status {
		s, err := looks.Status(context.Background(), "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	status()
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.pem"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(); err == nil {
		t.Fatal("rubbish is read")
	}
	client.Send("refresh_certs")
	if line := client.ReadLine(); !strings.HasPrefix(line, "SERVER_ERROR") {
		t.Fatalf("rubbish is read: %s", line)
	}

	notAfter := n.keyring.Expires()
	prometheus := scraped(n)
	for _, want := range []string{
		`tls_handshakes_total{port="client"} 1`, `tls_handshakes_total{port="admin"} 1`,
		`tls_handshake_failures_total{port="client",reason="not_tls"} 1`, `tls_handshake_failures_total{port="client",reason="expired"} 0`,
		`certificate_reloads_total{port="client",status="ok"} 1`, `certificate_reloads_total{port="client",status="failed"} 2`,
		`certificate_reloads_total{port="admin",status="ok"} 2`, `certificate_reloads_total{port="admin",status="failed"} 0`,
		`certificate_not_after_timestamp_seconds{port="client"}`, `certificate_not_after_timestamp_seconds{port="admin"}`,
		`certificate_authority_not_after_timestamp_seconds{port="admin"}`,
	} {
		if !strings.Contains(prometheus, "\nraftcached_"+want) {
			t.Errorf("no %s in\n%s", want, prometheus)
		}
	}
	if strings.Contains(prometheus, `port="log"`) {
		t.Error("a lone node tells of a log port")
	}
	if strings.Contains(prometheus, `authority_not_after_timestamp_seconds{port="client"}`) {
		t.Error("authorities are told of clients that need no certificate")
	}
	stats := client.Stats("tls")
	for name, want := range map[string]string{
		"client:handshakes": "1", "client:failed_not_tls": "1", "client:failed_refused": "0", "client:reloads": "1", "client:reloads_failed": "2", "admin:handshakes": "1",
	} {
		if stats[name] != want {
			t.Errorf("stats tls: %s is %q, want %s", name, stats[name], want)
		}
	}
	var told admin.PortTLS
	for _, p := range status().TLS {
		if p.Port == "client" {
			told = p
		}
	}
	if !told.NotAfter.Equal(notAfter) || told.Handshakes != 1 || told.Failed["not_tls"] != 1 || len(told.Failed) != 1 || told.Reloads != 1 || told.ReloadsFailed != 2 {
		t.Errorf("the status tells %+v, want a certificate until %s", told, notAfter.Format(time.RFC3339))
	}
	if scraped := scraped(openNode(t, loneConfig(t))); strings.Contains(scraped, "raftcached_tls") || strings.Contains(scraped, "raftcached_certificate") {
		t.Error("a node without TLS tells of it")
	}
}

// TestCertificatesThatExpireSoon are found by -check, and those between servers are logged:
// in the last quarter of a life that is shorter than some weeks.
func TestCertificatesThatExpireSoon(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster") // valid for the second half of two hours
	for _, c := range []struct {
		left time.Duration
		soon bool
	}{{time.Hour, false}, {10 * time.Minute, true}} {
		dir, ends := t.TempDir(), func(cert *x509.Certificate) { cert.NotAfter = time.Now().Add(c.left) }
		var logged warnings
		cfg := loneConfig(t)
		cfg.Logger, cfg.PeerFiles = logged.logger(), keysFor(t, dir, ca, cfg.ServerID, ends)
		chain, key := ca.Issue("clients", ends).Write(dir, "clients")
		cfg.Encryption = &Encryption{Chain: chain, Key: key, MinVersion: 2}
		for whose, got := range map[string]Check{"between servers": cfg.checkPeerFiles(), "for clients": cfg.checkCertificates()} {
			told := strings.HasPrefix(got.Text, "certificate "+whose) && strings.HasSuffix(got.Text, ": replace its file before that")
			if got.OK == c.soon || got.Configuration != c.soon || told != c.soon || !strings.Contains(got.Text, "valid until ") {
				t.Errorf("%v left: -check says %+v", c.left, got)
			}
		}
		openNode(t, cfg)
		if got := logged.String(); strings.Contains(got, "expires in 0 days") != c.soon {
			t.Errorf("%v left, and it logs: %s", c.left, got)
		}
	}
}

// TestAuthorityThatExpiresSoon is told at each port that believes it, logged, and found by
// -check; not at a port that looks at no certificates.
func TestAuthorityThatExpiresSoon(t *testing.T) {
	ca, dir := testcerts.NewAuthority(t, "cluster"), t.TempDir()
	old := testcerts.NewAuthority(t, "root").Issue("last year's", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.NotAfter = true, true, time.Now().Add(10*time.Minute)
	})
	peers := keysFor(t, dir, ca, 0)
	if err := os.WriteFile(peers.CA, slices.Concat(old.ChainPEM, ca.ChainPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	chain, key := ca.Issue("clients").Write(dir, "clients")
	const sentence = "an authority expires soon"
	for _, c := range []struct {
		demand int // memcached's ssl_verify_mode
		told   int // sentences
	}{{0, 1}, {2, 2}} {
		var logged warnings
		cfg := loneConfig(t)
		cfg.Logger, cfg.AdminAddr, cfg.PeerFiles = logged.logger(), ":0", peers
		cfg.Encryption = &Encryption{Chain: chain, Key: key, CA: peers.CA, VerifyMode: c.demand, MinVersion: 2}
		n := openNode(t, cfg)
		if got := logged.String(); strings.Count(got, sentence) != c.told || !strings.Contains(got, "CN=last year's") {
			t.Errorf("mode %d: it is to be logged %d times: %s", c.demand, c.told, got)
		}
		for _, p := range n.portsInTLS() {
			believes := p.Name != "client" || c.demand > 0
			if p.AuthorityExpiresSoon != believes || p.AuthorityNotAfter.Equal(old.Leaf.NotAfter) != believes || p.ExpiresSoon {
				t.Errorf("mode %d: %+v, want that of %s", c.demand, p, old.Leaf.NotAfter)
			}
		}
		if got := cfg.checkCertificates(); got.OK == (c.demand > 0) || !got.OK && !strings.Contains(got.Text, "CN=last year's") {
			t.Errorf("mode %d: -check says %+v", c.demand, got)
		}
		if got := cfg.checkPeerFiles(); got.OK || !got.Configuration || !strings.Contains(got.Text, "CN=last year's") {
			t.Errorf("-check says %+v", got)
		}
	}
}
