package admin

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"raftcached/internal/certnames"
	"raftcached/internal/handshake"
	"raftcached/internal/testcerts"
)

// serveTLS opens an admin port in TLS until the test ends, and returns its address.
func serveTLS(t *testing.T, ca *testcerts.Authority, n Node) string {
	t.Helper()
	return serveCounting(t, ca, n, nil)
}

func serveCounting(t *testing.T, ca *testcerts.Authority, n Node, count *handshake.Counter) string {
	t.Helper()
	s, err := Listen(Config{Shaken: count, Addr: "127.0.0.1:0", Secret: []byte("sixteen bytes ok"), Logger: slog.New(slog.DiscardHandler), TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(certnames.Server(0)).TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// clientWith is a client that shows a certificate, if there is one, and believes the
// servers of an authority.
func clientWith(t *testing.T, believed *testcerts.Authority, shown *testcerts.Certificate) *Client {
	t.Helper()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: believed.Pool()}
	certnames.VerifyServer(cfg)
	if shown != nil {
		own := shown.TLS()
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	c := &Client{TLS: cfg, Secret: []byte("sixteen bytes ok")}
	t.Cleanup(c.Close)
	return c
}

// TestCertificatesDecide what somebody may do: nothing but probes without one, look with
// any of the cluster's, and change with the operator's, from wherever.
func TestCertificatesDecide(t *testing.T) {
	ours, theirs := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "theirs")
	n := &fakeNode{state: StateOK, status: Status{StatusVersion: StatusVersion}}
	addr := serveTLS(t, ours, n)
	for _, c := range []struct {
		name          string
		client        *Client
		probe         string // in the error; empty: none
		looks, change string
	}{
		{"nobody", clientWith(t, ours, nil), "", "needs a certificate of the cluster", "needs a certificate of the cluster"},
		{"a client", clientWith(t, ours, ours.Issue(certnames.Client)), "", "", "needs the operator's certificate"},
		{"a server", clientWith(t, ours, ours.Issue(certnames.Server(1))), "", "", "needs the operator's certificate"},
		{"the operator", clientWith(t, ours, ours.Issue(certnames.Operator)), "", "", ""},
		{"an operator elsewhere", clientWith(t, ours, theirs.Issue(certnames.Operator)), "unknown certificate authority", "unknown certificate authority", "unknown certificate authority"},
		{"an operator of the past", clientWith(t, ours, ours.Issue(certnames.Operator, testcerts.Expired)), "expired certificate", "expired certificate", "expired certificate"},
		{"who takes it for another cluster", clientWith(t, theirs, ours.Issue(certnames.Operator)), "unknown authority", "unknown authority", "unknown authority"},
		{"without TLS", &Client{Secret: []byte("sixteen bytes ok")}, "it is in TLS: name the operator's certificate", "it is in TLS", "it is in TLS"},
	} {
		n.asked = nil
		_, probe := c.client.get(t.Context(), addr, "/readyz")
		_, looks := c.client.Status(t.Context(), addr)
		_, change := c.client.Operate(t.Context(), addr, "transfer", &MemberRequest{})
		for _, got := range []struct {
			what, want string
			err        error
		}{{"a probe", c.probe, probe}, {"a look", c.looks, looks}, {"a change", c.change, change}} {
			if got.want == "" && got.err != nil || got.want != "" && (got.err == nil || !strings.Contains(got.err.Error(), got.want)) {
				t.Errorf("%s of %s: %v, want %q", got.what, c.name, got.err, got.want)
			}
		}
		if changed := len(n.asked) > 0; changed != (c.change == "") {
			t.Errorf("%s: the node was asked %q", c.name, n.asked)
		}
	}
}

// TestHandshakesOfTheAdminPort are counted once for each connection, however many requests it
// has, and by what has made them fail.
func TestHandshakesOfTheAdminPort(t *testing.T) {
	ours, theirs := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "theirs")
	var count handshake.Counter
	addr := serveCounting(t, ours, &fakeNode{state: StateOK, status: Status{StatusVersion: StatusVersion}}, &count)
	operator := clientWith(t, ours, ours.Issue(certnames.Operator))
	for range 3 {
		if _, err := operator.Status(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
	}
	want := handshake.Tally{Done: 1}
	if got := count.Tally(); got != want {
		t.Errorf("three requests of one connection: %+v, want %+v", got, want)
	}
	for reason, c := range map[handshake.Reason]*Client{
		handshake.UnknownAuthority: clientWith(t, ours, theirs.Issue(certnames.Operator)),
		handshake.Expired:          clientWith(t, ours, ours.Issue(certnames.Operator, testcerts.Expired)),
		handshake.Refused:          clientWith(t, theirs, nil),
		handshake.NotTLS:           {},
	} {
		if _, err := c.Status(t.Context(), addr); err == nil {
			t.Errorf("%s: it is answered", reason)
		}
		want.Failed[reason] = 1
		await(t, func() bool { return count.Tally() == want }) // a server notices later than a client does
	}
}

// TestPageNeedsACertificate: a page and its stream are a look.
func TestPageNeedsACertificate(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	addr := serveTLS(t, ca, &fakeNode{})
	nobody, somebody := clientWith(t, ca, nil), clientWith(t, ca, ca.Issue(certnames.Client))
	for _, path := range pagePaths {
		path = strings.TrimSuffix(path, "{$}")
		if _, err := nobody.get(t.Context(), addr, path); err == nil || !strings.Contains(err.Error(), "needs a certificate of the cluster") {
			t.Errorf("%s without a certificate: %v", path, err)
		}
		if text, err := somebody.get(t.Context(), addr, path); err != nil || string(text) != "page" {
			t.Errorf("%s with one: %q, %v", path, text, err)
		}
	}
}

// TestBrowserWithACertificate: a page cannot use the operator's certificate that is in a
// browser.
func TestBrowserWithACertificate(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	n := &fakeNode{state: StateOK}
	url := "https://" + serveTLS(t, ca, n) + "/members/transfer"
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client(ca.Issue(certnames.Operator))}}
	defer browser.CloseIdleConnections()
	for name, header := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(name, header)
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode < 400 || len(n.asked) > 0 {
			t.Errorf("with %s %s: %s", name, header, resp.Status)
		}
	}
}

// TestPlainIsForThisMachine: a client with a certificate does without TLS where this
// machine's server has none, and elsewhere only to look, if some servers have none yet.
func TestPlainIsForThisMachine(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	addr := serve(t, &fakeNode{state: StateOK, status: Status{StatusVersion: StatusVersion}})
	c := clientWith(t, ca, ca.Issue(certnames.Operator))
	for range 2 {
		if _, err := c.Status(t.Context(), addr); err != nil {
			t.Error(err)
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	elsewhere := net.JoinHostPort("0.0.0.0", port) // reaches it all the same
	if _, err := c.Status(t.Context(), elsewhere); !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("a server of another machine: %v", err)
	}
	c.PlainLooks = true
	if _, err := c.Status(t.Context(), elsewhere); err != nil {
		t.Errorf("a server of another machine, while some have no TLS: %v", err)
	}
	if _, err := c.Operate(t.Context(), elsewhere, MemberTransfer, &MemberRequest{}); !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("it is changed in the clear: %v", err)
	}
	if !OnLoopback("localhost:1") || !OnLoopback("[::1]:1") || OnLoopback(":1") || OnLoopback("0.0.0.0:1") || OnLoopback("10.0.0.1:1") || OnLoopback("localhost.evil.example:1") {
		t.Error("what is on this machine")
	}
	if got := Why(errors.Join(http.ErrSchemeMismatch)); !strings.Contains(got, "speaks no TLS") {
		t.Errorf("why: %s", got)
	}
	if got := Why(x509.UnknownAuthorityError{}); !strings.Contains(got, "--cacert") {
		t.Errorf("why: %s", got)
	}
}
