package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"raftcached/internal/certificates"
	"raftcached/internal/testcerts"
)

// TestReloadsStandAlone: users, the certificates for clients and those for peers are each
// read again on their own. A bad file keeps what was there before, and does not keep the
// others from being read.
func TestReloadsStandAlone(t *testing.T) {
	cfg, dir := loneConfig(t), t.TempDir()
	ca := testcerts.NewAuthority(t, "authority")
	passwords := 0
	writers := map[string]func(){
		"users": func() {
			passwords++
			writeUsers(t, cfg.AuthFile, "foo:"+strconv.Itoa(passwords)+"\n")
		},
		"certificates for clients": func() { ca.Issue("clients").Write(dir, "clients") },
		"certificates for peers":   func() { keysFor(t, dir, ca, cfg.ServerID) },
	}
	cfg.AuthFile = filepath.Join(dir, "users")
	chain, key := ca.Issue("clients").Write(dir, "clients")
	cfg.Encryption = &Encryption{Chain: chain, Key: key, MinVersion: 2}
	cfg.PeerFiles = keysFor(t, dir, ca, cfg.ServerID)
	files := map[string]string{"users": cfg.AuthFile, "certificates for clients": chain, "certificates for peers": cfg.PeerFiles.Chain}
	writers["users"]()
	n := openNode(t, cfg)

	serial := func(k *certificates.Keyring) string {
		return k.Client(certificates.ClientOptions{}).Certificates[0].Leaf.SerialNumber.String()
	}
	held := func() map[string]string {
		password := 0
		for p := range passwords + 1 {
			if _, _, ok := n.users.Authenticate([]byte("foo"), []byte(strconv.Itoa(p))); ok {
				password = p
			}
		}
		return map[string]string{
			"users": strconv.Itoa(password), "certificates for clients": serial(n.keyring), "certificates for peers": serial(n.keys.Load()),
		}
	}
	for bad, file := range files {
		before := held()
		for _, write := range writers {
			write()
		}
		if err := os.WriteFile(file, []byte("rubbish\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := n.Reload()
		if err == nil || strings.Count(err.Error(), "the previous ones stay") != 1 || !strings.Contains(err.Error(), "reload the "+bad) {
			t.Errorf("with a bad file of %s: %v", bad, err)
		}
		for what, is := range held() {
			if kept := is == before[what]; kept != (what == bad) {
				t.Errorf("with a bad file of %s, those of before stay is %t of the %s", bad, kept, what)
			}
		}
	}
	for _, write := range writers {
		write()
	}
	if err := n.Reload(); err != nil {
		t.Error(err)
	}
}
