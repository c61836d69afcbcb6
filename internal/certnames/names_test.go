package certnames

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"raftcached/internal/testcerts"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		names  []string
		server bool
	}{
		{[]string{"server-0.raftcached"}, true},
		{[]string{"cache.example", "server-2147483646.raftcached"}, true},
		{[]string{"server-00.raftcached"}, false},
		{[]string{"server-+1.raftcached"}, false},
		{[]string{"server--1.raftcached"}, false},
		{[]string{"server-.raftcached"}, false},
		{[]string{"server-1.raftcached."}, false},
		{[]string{"Server-1.raftcached"}, false},
		{[]string{"1.raftcached", "server-1"}, false},
		{[]string{"*.raftcached"}, false},
		{[]string{Operator, Client}, false},
		{nil, false},
	} {
		if err := CheckServer(&x509.Certificate{DNSNames: c.names}); (err == nil) != c.server {
			t.Errorf("%q: %v, want a server: %v", c.names, err, c.server)
		}
	}
	if c := (&x509.Certificate{DNSNames: []string{"*.raftcached", Server(12)}}); !Has(c, "server-12.raftcached") || Has(c, Server(1)) || Has(c, Operator) {
		t.Error("a certificate has other names")
	}
	many := &x509.Certificate{DNSNames: strings.Split(strings.Repeat("x ", 100), " "), IPAddresses: []net.IP{net.IPv4zero}}
	if got := Text(many); len(got) > 100 {
		t.Errorf("many names are %q", got)
	}
	if got := Text(&x509.Certificate{}); got != "nobody" {
		t.Errorf("no names are %q", got)
	}
}

// TestVerifyServer believes the servers of one authority, and nobody else.
func TestVerifyServer(t *testing.T) {
	ours, theirs := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "theirs")
	for _, c := range []struct {
		why   string
		shown *testcerts.Certificate
		roots *x509.CertPool
		want  string // in the error; empty: none
	}{
		{"a server", ours.Issue(Server(3)), ours.Pool(), ""},
		{"a server of another cluster", theirs.Issue(Server(3)), ours.Pool(), "unknown authority"},
		{"nobody is believed", ours.Issue(Server(3)), nil, "unknown authority"},
		{"expired", ours.Issue(Server(3), testcerts.Expired), ours.Pool(), "expired"},
		{"a client", ours.Issue(Client), ours.Pool(), "and no server"},
		{"for clients", ours.Issue(Server(3), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ours.Pool(), "incompatible key usage"},
	} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.shown.TLS()}})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			if conn, err := l.Accept(); err == nil {
				_, _ = conn.Read(make([]byte, 1)) // the handshake
				_ = conn.Close()
			}
		}()
		cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.roots}
		VerifyServer(cfg)
		conn, err := tls.Dial("tcp", l.Addr().String(), cfg)
		if err == nil {
			_ = conn.Close()
		}
		<-served
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.why, err, c.want)
		}
	}
}
