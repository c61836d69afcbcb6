package authority

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/certificates"
	"raftcached/internal/certnames"
)

const year = 365 * 24 * time.Hour

func create(t *testing.T, dir string, servers ...Server) *Result {
	t.Helper()
	r, err := Create(dir, servers, year)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files returns names and contents of what is in a folder, and checks that only its owner
// can read them.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range list {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
		texts[f.Name()] = string(text)
	}
	return texts
}

// TestCreate makes what servers can be started with, and later only what is missing.
func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "certs")
	first := create(t, dir, Server{ID: 0, Hosts: []string{"10.0.0.1", "cache.example", "10.0.0.1"}}, Server{ID: 12})
	if want := []string{"ca", "server-0", "server-12", "client", "operator"}; !slices.Equal(first.Made, want) || len(first.Kept) > 0 {
		t.Errorf("made %q, kept %q", first.Made, first.Kept)
	}
	before := files(t, dir)
	second := create(t, dir, Server{ID: 0}, Server{ID: 12}, Server{ID: 3})
	if !slices.Equal(second.Made, []string{"server-3"}) || len(second.Kept) != 5 {
		t.Errorf("made %q, kept %q", second.Made, second.Kept)
	}
	after := files(t, dir)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s was overwritten", name)
		}
	}
	if len(after) != 12 {
		t.Errorf("%d files", len(after))
	}
	for id, hosts := range map[int][]string{0: {"10.0.0.1", "cache.example", "localhost", "127.0.0.1", "::1"}, 12: {"localhost"}, 3: {"localhost"}} {
		file := filepath.Join(dir, strings.TrimSuffix(certnames.Server(id), ".raftcached"))
		keys, err := certificates.Open(certificates.Files{Chain: file + ".crt", Key: file + ".key", CA: filepath.Join(dir, "ca.crt")})
		if err != nil {
			t.Fatal(err)
		}
		cfg := keys.Client(certificates.ClientOptions{})
		leaf := cfg.Certificates[0].Leaf
		for _, host := range append(hosts, certnames.Server(id)) {
			if err := leaf.VerifyHostname(host); err != nil {
				t.Error(err)
			}
		}
		if id == 0 && len(leaf.IPAddresses) != 3 {
			t.Errorf("it names the addresses %v", leaf.IPAddresses)
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: cfg.RootCAs, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Error(err)
			}
		}
		if left := time.Until(leaf.NotAfter); left > year || left < year-time.Minute || time.Since(leaf.NotBefore) < clockSlack {
			t.Errorf("it is valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
		}
	}
	for _, name := range []string{"client", "operator"} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		if !certnames.Has(pair.Leaf, name+".raftcached") || certnames.CheckServer(pair.Leaf) == nil || !slices.Equal(pair.Leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
			t.Errorf("the %s's certificate names %s", name, certnames.Text(pair.Leaf))
		}
	}
}

// TestNothingIsOverwritten: half of a pair, or an authority of somebody else, is an error.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, Server{ID: 0})
	for _, lost := range []string{"server-0.crt", "operator.key", "ca.crt"} {
		kept := files(t, dir)
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		if r, err := Create(dir, []Server{{ID: 0}}, year); err == nil || !strings.Contains(err.Error(), "nothing is overwritten") {
			t.Errorf("without %s: %+v, %v", lost, r, err)
		}
		if err := os.WriteFile(filepath.Join(dir, lost), []byte(kept[lost]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ca.crt", "ca.key"} {
		text := files(t, dir)[strings.Replace(name, "ca", "client", 1)]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(dir, []Server{{ID: 9}}, year); err == nil || !strings.Contains(err.Error(), "no authority") {
		t.Errorf("signed by a client's key: %v", err)
	}
}
