package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testcerts"
)

// write writes a file of a test's folder and returns its name.
func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestWhatIsWrongIsSaid: each error names the file and what is the matter with it, and a
// Keyring keeps what it held.
func TestWhatIsWrongIsSaid(t *testing.T) {
	dir := t.TempDir()
	ca := testcerts.NewAuthority(t, "authority")
	good, other := ca.Issue("good"), ca.Issue("other")
	expired, soon := ca.Issue("gone", testcerts.Expired), ca.Issue("soon", testcerts.Early)
	old := testcerts.NewAuthority(t, "old authority").Issue("expired authority", testcerts.Expired, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")})
	torn := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Leaf.Raw[:100]})

	chainFile, keyFile, caFile := filepath.Join(dir, "chain"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	restore := func() {
		write(t, dir, "chain", good.ChainPEM)
		write(t, dir, "key", good.KeyPEM)
		write(t, dir, "ca", ca.ChainPEM)
	}
	restore()
	k, err := Open(Files{Chain: chainFile, Key: keyFile, CA: caFile})
	if err != nil {
		t.Fatal(err)
	}
	held := k.current.Load()
	for _, test := range []struct {
		file string
		text []byte // nil: the file is gone
		want string
	}{
		{"chain", nil, "no such file"},
		{"chain", []byte{}, "holds no certificate"},
		{"chain", good.KeyPEM, "holds no certificate"},
		{"chain", torn, "number 1, that cannot be read"},
		{"chain", append(bytes.Clone(good.ChainPEM), torn...), "number 2, that cannot be read"},
		{"chain", bytes.Repeat([]byte{'\n'}, fileBytesMax+1), "is longer than 1048576 bytes"},
		{"chain", expired.ChainPEM, "the certificate of CN=gone expired at"},
		{"chain", append(bytes.Clone(good.ChainPEM), old.ChainPEM...), "the certificate of CN=expired authority expired at"},
		{"chain", soon.ChainPEM, "the certificate of CN=soon is valid from"},
		{"chain", other.ChainPEM, "does not go with"},
		{"key", nil, "no such file"},
		{"key", []byte("secret"), "holds no private key"},
		{"key", good.ChainPEM, "holds no private key"},
		{"key", encrypted, "is encrypted"},
		{"key", legacy, "is encrypted"},
		{"key", other.KeyPEM, "does not go with"},
		{"ca", nil, "no such file"},
		{"ca", []byte("nothing"), "holds no certificate"},
		{"ca", good.ChainPEM, "CN=good, which is no authority"},
		{"ca", old.ChainPEM, "the certificate of CN=expired authority expired at"},
	} {
		restore()
		name := filepath.Join(dir, test.file)
		if test.text == nil {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, dir, test.file, test.text)
		}
		err := k.Reload()
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q and the file's name", test.file, err, test.want)
		}
		if _, err2 := Open(k.Files()); err2 == nil || err != nil && err2.Error()[:20] != err.Error()[:20] {
			t.Errorf("open: %v, want what reload says: %v", err2, err)
		}
		if k.current.Load() != held {
			t.Fatalf("%s: after the error %v it holds something else", test.file, err)
		}
	}
	restore()
	if err := k.Reload(); err != nil || k.current.Load() == held {
		t.Errorf("good files again: %v", err)
	}
}

// TestAnExpiredAuthorityBesideItsSuccessor is not an error: an operator adds the new one
// before the old one expires, and removes that later.
func TestAnExpiredAuthorityBesideItsSuccessor(t *testing.T) {
	dir := t.TempDir()
	ca := testcerts.NewAuthority(t, "new")
	old := ca.Issue("old", testcerts.Expired, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	chain, key := ca.Issue("server").Write(dir, "server")
	if _, err := Open(Files{Chain: chain, Key: key, CA: write(t, dir, "ca", append(old.ChainPEM, ca.ChainPEM...))}); err != nil {
		t.Error(err)
	}
}

// TestKeyInTheFileOfTheCertificate, as memcached takes it.
func TestKeyInTheFileOfTheCertificate(t *testing.T) {
	dir := t.TempDir()
	ca := testcerts.NewAuthority(t, "authority")
	c := ca.Issue("both", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(1) })
	k, err := Open(Files{Chain: write(t, dir, "both.pem", append(c.ChainPEM, c.KeyPEM...))})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Expires(); !got.Equal(c.Leaf.NotAfter) {
		t.Errorf("expires %s, want %s", got, c.Leaf.NotAfter)
	}
	if k.ExpiresSoon() {
		t.Error("half of its life is left, and it expires soon")
	}
	k.now = func() time.Time { return c.Leaf.NotAfter.Add(-20 * time.Minute) } // of two hours
	if !k.ExpiresSoon() {
		t.Error("a sixth of its life is left, and it does not expire soon")
	}
	if got := k.String(); !strings.HasPrefix(got, "CN=both, signed by CN=authority, valid until 2") {
		t.Errorf("it is %q", got)
	}
	if err := k.CheckDemand(Needed); err == nil || !strings.Contains(err.Error(), "no CA file") {
		t.Errorf("a demand that nobody can meet: %v", err)
	}
	if err := k.CheckDemand(NotWanted); err != nil {
		t.Error(err)
	}
}
