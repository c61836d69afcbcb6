package raftcached

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPeerTLSSettings: which go together, and how each server finds its own files.
func TestPeerTLSSettings(t *testing.T) {
	const servers = `"servers": [{"id": 0, "host": "h", "clientPort": 1, "logPort": 2}, {"id": 12, "host": "h", "clientPort": 3, "logPort": 4}]}`
	for _, c := range []struct{ fields, want string }{
		{`"peerCertFile": "c", "peerCAFile": "a"`, ""},
		{`"peerCertFile": "c"`, `"peerCertFile" (--peer-cert) is set, and "peerCAFile" (--peer-ca) is not`},
		{`"peerCAFile": "a"`, `"peerCAFile" (--peer-ca) is set, and "peerCertFile" (--peer-cert) is not`},
		{`"peerKeyFile": "k"`, `"peerKeyFile" (--peer-key) is set, and "peerCertFile" (--peer-cert) is not`},
		{`"peerTLS": "optional"`, `"peerTLS" is optional, and there is no certificate`},
		{`"secretOptional": true`, `"secretOptional" is set, and there is no secret`},
		{`"secretOptional": true, "secretFile": "s"`, ""},
	} {
		cluster, err := ReadCluster(writeConfig(t, "{"+c.fields+", "+servers))
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := cluster.Config(12)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cfg.Complete(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.fields, err, c.want)
		}
	}
	file := writeConfig(t, `{"peerCertFile": "certs/server-{id}.crt", "peerKeyFile": "/k/{id}/{id}", "peerCAFile": "certs/ca.crt", `+servers)
	cluster, err := ReadCluster(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := cluster.Config(12)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(file), "certs")
	files := cfg.assembly().PeerFiles
	if files.Chain != filepath.Join(dir, "server-12.crt") || files.Key != "/k/12/12" || files.CA != filepath.Join(dir, "ca.crt") || cluster.PeerCAFile() != files.CA {
		t.Errorf("server 12 reads %+v", files)
	}
}
