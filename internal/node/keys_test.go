package node

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/admin"
	"raftcached/internal/certificates"
	"raftcached/internal/certnames"
	"raftcached/internal/settings"
	"raftcached/internal/testcerts"
)

// keysFor writes a server's certificate and its authority to a folder.
func keysFor(t *testing.T, dir string, ca *testcerts.Authority, serverID int, change ...func(*x509.Certificate)) certificates.Files {
	t.Helper()
	name := certnames.Server(serverID)
	chain, key := ca.Issue(name, change...).Write(dir, name)
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, ca.ChainPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return certificates.Files{Chain: chain, Key: key, CA: authority}
}

// TestClusterOverTLS serves, goes on when its certificates are reloaded, keeps those that
// it has if the files are no good, and says nothing of an open log port.
func TestClusterOverTLS(t *testing.T) {
	var logged warnings
	ca := testcerts.NewAuthority(t, "cluster")
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	nodes := openClusterWith(t, func(cfg *Config) {
		cfg.PeerFiles, cfg.Logger = keysFor(t, dirs[cfg.ServerID], ca, cfg.ServerID), logged.logger()
	})
	leader, follower := awaitLeader(t, nodes)
	play(t, follower, "C: set k 0 0 1\nc: v\\r\\n\nS: STORED\n")
	if got := logged.String(); strings.Contains(got, "log port") {
		t.Errorf("warned: %s", got)
	}
	for _, n := range nodes { // each has streams to two others, and theirs
		if ports := n.portsInTLS(); len(ports) != 1 || ports[0].Name != "log" || ports[0].Handshakes.Done < 4 || ports[0].ExpiresSoon {
			t.Errorf("server %d tells of TLS: %+v", n.cfg.ServerID, ports)
		}
	}
	id := leader.cfg.ServerID
	held := leader.keys.Load()
	for want, files := range map[string]func(){
		"names localhost, server-8.raftcached": func() { ca.Issue(certnames.Server(8)).Write(dirs[id], certnames.Server(id)) },
		"unknown authority": func() {
			keysFor(t, t.TempDir(), ca, id)
			testcerts.NewAuthority(t, "x").Issue(certnames.Server(id)).Write(dirs[id], certnames.Server(id))
		},
		"serverAuth and clientAuth": func() { keysFor(t, dirs[id], ca, id, testcerts.ForServers) },
		"expired":                   func() { keysFor(t, dirs[id], ca, id, testcerts.Expired) },
	} {
		files()
		if err := leader.Reload(); err == nil || !strings.Contains(err.Error(), want) || leader.keys.Load() != held {
			t.Errorf("reloaded: %v, want %q, and that it keeps what it has", err, want)
		}
	}
	keysFor(t, dirs[id], ca, id)
	if err := leader.Reload(); err != nil || leader.keys.Load() == held {
		t.Errorf("reloaded: %v", err)
	}
	play(t, follower, "C: get k\nS: VALUE k 0 1\nS: v\nS: END\n")
}

// TestNodeNeedsItsCertificate: without, it does not start, and the configuration is what
// has to change.
func TestNodeNeedsItsCertificate(t *testing.T) {
	cfg := loneConfig(t)
	cfg.PeerFiles = keysFor(t, t.TempDir(), testcerts.NewAuthority(t, "cluster"), cfg.ServerID+1)
	check := cfg.checkPeerFiles()
	_, err := Open(t.Context(), cfg)
	if check.OK || !check.Configuration || err == nil || !strings.Contains(err.Error(), check.Text) {
		t.Errorf("-check says %+v, the start %v", check, err)
	}
	if ce := (*settings.Error)(nil); !errors.As(err, &ce) || !strings.Contains(err.Error(), "and not server-0.raftcached, which is this server's name") {
		t.Errorf("with the certificate of another server: %v", err)
	}
}

// TestAdminPortForOthersIsInTLS, if there are certificates, and warned of otherwise. On
// loopback it is as it was.
func TestAdminPortForOthersIsInTLS(t *testing.T) {
	ca := testcerts.NewAuthority(t, "cluster")
	for _, c := range []struct {
		addr          string
		keys, inTLS   bool
		want, without string
	}{
		{":0", true, true, "", "without TLS"},
		{":0", false, false, "is open to other machines, without TLS", ""},
		{"127.0.0.1:0", true, false, "", "without TLS"},
	} {
		var logged warnings
		cfg := loneConfig(t)
		cfg.AdminAddr, cfg.Logger = c.addr, logged.logger()
		if c.keys {
			cfg.PeerFiles = keysFor(t, t.TempDir(), ca, cfg.ServerID)
		}
		n := openNode(t, cfg)
		_, port, _ := strings.Cut(strings.TrimPrefix(n.admin.Addr().String(), "[::]"), ":")
		plain := admin.Client{}
		_, err := plain.Status(context.Background(), "127.0.0.1:"+port)
		plain.Close()
		if inTLS := err != nil && strings.Contains(err.Error(), "it is in TLS"); inTLS != c.inTLS || !inTLS && err != nil {
			t.Errorf("at %s, certificates %v: %v", c.addr, c.keys, err)
		}
		if got := logged.String(); !strings.Contains(got, c.want) || c.without != "" && strings.Contains(got, c.without) {
			t.Errorf("at %s, certificates %v, it warned %q", c.addr, c.keys, got)
		}
	}
}
