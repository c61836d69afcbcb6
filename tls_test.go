package raftcached

import (
	"crypto/tls"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
)

// TestMemcachedsFlagsOfTLS: a command line of memcached with TLS starts this server.
func TestMemcachedsFlagsOfTLS(t *testing.T) {
	args, err := ParseArguments(strings.Fields("-Z -p 11300 -l 127.0.0.1,notls:127.0.0.1:11212,notls:[::1] -o ssl_chain_cert=c.pem,ssl_key=k.pem,ssl_keyformat=1 "+
		"-o ssl_ca_cert=ca.pem,ssl_verify_mode=2,ssl_session_cache,ssl_kernel_tls,ssl_wbuf_size=16,ssl_min_version=3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := args.Config
	if !c.TLS || c.TLSCert != "c.pem" || c.TLSKey != "k.pem" || c.TLSCA != "ca.pem" || c.TLSVerify != 2 || c.TLSMinVersion != 3 {
		t.Errorf("TLS %t, cert %q, key %q, CA %q, verify %d, version %d", c.TLS, c.TLSCert, c.TLSKey, c.TLSCA, c.TLSVerify, c.TLSMinVersion)
	}
	if want := []string{"127.0.0.1:11300"}; !slices.Equal(c.ClientAddrs, want) {
		t.Errorf("addresses with TLS %q, want %q", c.ClientAddrs, want)
	}
	if want := []string{"127.0.0.1:11212", "[::1]:11300"}; !slices.Equal(c.PlainAddrs, want) {
		t.Errorf("addresses without TLS %q, want %q", c.PlainAddrs, want)
	}
	if want := "-o ssl_keyformat, -o ssl_session_cache, -o ssl_kernel_tls, -o ssl_wbuf_size are ignored"; len(args.Notes) != 1 || !strings.HasPrefix(args.Notes[0], want) {
		t.Errorf("notes %q, want %q", args.Notes, want)
	}
}

// TestFilesOfTLSBesideTheConfig: relative names start at the folder of server.json.
func TestFilesOfTLSBesideTheConfig(t *testing.T) {
	file := writeConfig(t, `{"tls": true, "tlsCert": "c.pem", "tlsKey": "/etc/k.pem", "tlsCA": "sub/ca.pem", "servers": [{"id": 0, "host": "h", "clientPort": 1, "logPort": 2}]}`)
	args, err := ParseArguments([]string{"-config", file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	got := []string{args.Config.TLSCert, args.Config.TLSKey, args.Config.TLSCA}
	if want := []string{filepath.Join(dir, "c.pem"), "/etc/k.pem", filepath.Join(dir, "sub/ca.pem")}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestPlainAddrsBesideTLS: one address is with TLS, one without, and both show the same
// items.
func TestPlainAddrsBesideTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	cfg := Config{DataDir: "data", MemoryDisk: NewMemoryDisk(), ClientAddrs: []string{"127.0.0.1:0"}, PlainAddrs: []string{"127.0.0.1:0"}, TLS: true}
	cfg.TLSCert, cfg.TLSKey = ca.Issue("server").Write(t.TempDir(), "server")
	node, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Close() }() // nothing is read afterwards
	secure, plain := testclient.DialTLS(t, node.ClientAddrs()[0].String(), ca.Client()), testclient.Dial(t, node.ClientAddrs()[1].String())
	secure.Send("set a 0 0 1", "1")
	secure.Expect("STORED")
	plain.Send("get a")
	plain.Expect("VALUE a 0 1", "1", "END")
	stranger := testclient.Dial(t, node.ClientAddrs()[0].String())
	stranger.Send("get a")
	stranger.ExpectClosed()
}

// TestBadFilesOfTLS: the server does not start, and the sentence is one about the
// configuration.
func TestBadFilesOfTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	dir := t.TempDir()
	chain, key := ca.Issue("server").Write(dir, "server")
	_, other := ca.Issue("other").Write(dir, "other")
	late, lateKey := ca.Issue("late", testcerts.Expired).Write(dir, "late")
	soon, soonKey := ca.Issue("soon", testcerts.Early).Write(dir, "soon")
	for _, test := range []struct{ chain, key, want string }{
		{filepath.Join(dir, "none"), key, "TLS for clients: read the certificate file: "},
		{chain, other, "TLS for clients: key file "},
		{late, lateKey, "TLS for clients: certificate file "},
		{soon, soonKey, "TLS for clients: certificate file "},
	} {
		cfg := Config{DataDir: "data", MemoryDisk: NewMemoryDisk(), ClientAddrs: []string{"127.0.0.1:0"}, TLS: true, TLSCert: test.chain, TLSKey: test.key}
		node, err := Open(t.Context(), cfg)
		if err == nil {
			_ = node.Close()
		}
		if _, isConfig := errors.AsType[*ConfigError](err); !isConfig || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s and %s: %v, want %q", test.chain, test.key, err, test.want)
		}
		checks, err := Checks(cfg)
		if err != nil || !slices.ContainsFunc(checks, func(c Check) bool { return !c.OK && strings.HasPrefix(c.Text, test.want) }) {
			t.Errorf("checks %v, %v, want one that fails with %q", checks, err, test.want)
		}
	}
}

// TestCertificatesOfClients: with TLSVerify 2 a client needs one that is made for clients.
func TestCertificatesOfClients(t *testing.T) {
	ca := testcerts.NewAuthority(t, "authority")
	dir := t.TempDir()
	cfg := Config{DataDir: "data", MemoryDisk: NewMemoryDisk(), ClientAddrs: []string{"127.0.0.1:0"}, TLS: true, TLSVerify: 2}
	cfg.TLSCA, _ = ca.Write(dir, "ca")
	cfg.TLSCert, cfg.TLSKey = ca.Issue("server").Write(dir, "server")
	node, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Close() }() // nothing is read afterwards
	for name, test := range map[string]struct {
		config *tls.Config
		in     bool
	}{
		"a client's": {ca.Client(ca.Issue("client")), true},
		"a server's": {ca.Client(ca.Issue("client", testcerts.ForServers)), false},
		"none":       {ca.Client(), false},
	} {
		c := testclient.DialTLS(t, node.ClientAddrs()[0].String(), test.config) // TLS 1.3: the client is done before it is refused
		_, err := io.WriteString(c, "version\r\n")
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if (err == nil) != test.in {
			t.Errorf("%s: %v, want that it is let in: %t", name, err, test.in)
		}
	}
}
