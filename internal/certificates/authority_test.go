package certificates

import (
	"crypto"
	"crypto/x509"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"raftcached/internal/testcerts"
)

// until has an authority sign another one, which is valid for so long.
func until(left time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.NotAfter = true, true, time.Now().Add(left)
	}
}

// TestTheFirstAuthorityToExpireCounts, as long as it is in the file: nobody knows whether it still
// has certificates in use. One that has expired does not, nor one that was renewed.
func TestTheFirstAuthorityToExpireCounts(t *testing.T) {
	dir := t.TempDir()
	root := testcerts.NewAuthority(t, "root") // for an hour
	oldRoot := testcerts.NewAuthority(t, "old root")
	chain, key := root.Issue("server").Write(dir, "server")
	renewed := func(name string, c *testcerts.Certificate, left time.Duration) *testcerts.Certificate {
		signer, _ := c.TLS().PrivateKey.(crypto.Signer)
		return oldRoot.IssueFor(signer, name, until(left))
	}
	first, gone := oldRoot.Issue("first", until(30*time.Minute)), oldRoot.Issue("gone", until(-time.Minute))
	for _, c := range []struct {
		name string
		file []*testcerts.Certificate
		want *testcerts.Certificate // nil: none
		soon bool
		at   time.Duration // from now
	}{
		{"one", []*testcerts.Certificate{root.Certificate}, root.Certificate, false, 0},
		{"one, late in its life", []*testcerts.Certificate{root.Certificate}, root.Certificate, true, 31 * time.Minute},
		{"one that has expired since it was read", []*testcerts.Certificate{root.Certificate}, root.Certificate, true, 2 * time.Hour},
		{"an old one beside its successor", []*testcerts.Certificate{first, root.Certificate}, first, false, 0},
		{"in another order", []*testcerts.Certificate{root.Certificate, first}, first, true, 10 * time.Minute},
		{"an expired one beside its successor", []*testcerts.Certificate{gone, root.Certificate}, root.Certificate, false, 0},
		{"an old one that expires while it is there", []*testcerts.Certificate{first, root.Certificate}, root.Certificate, true, 31 * time.Minute},
		{"all have expired", []*testcerts.Certificate{first, root.Certificate, gone}, root.Certificate, true, 2 * time.Hour},
		{"renewed", []*testcerts.Certificate{first, renewed("first", first, 2*time.Hour), root.Certificate}, root.Certificate, false, 0},
		{"renewed, in another order", []*testcerts.Certificate{root.Certificate, renewed("first", first, 2*time.Hour), first}, root.Certificate, false, 0},
		{"the same key under another name", []*testcerts.Certificate{renewed("second", first, 2*time.Hour), first}, first, false, 0},
		{"no file", nil, nil, false, 0},
	} {
		var file []byte
		for _, a := range c.file {
			file = slices.Concat(file, a.ChainPEM)
		}
		files := Files{Chain: chain, Key: key}
		if c.file != nil {
			files.CA = write(t, dir, "ca", file)
		}
		k, err := Open(files)
		if err != nil {
			t.Fatal(err)
		}
		k.now = func() time.Time { return time.Now().Add(c.at) }
		var want Authority
		if c.want != nil {
			want = Authority{nameOf(c.want.Leaf), c.want.Leaf.NotAfter, c.soon}
		}
		if got := k.Authority(); got != want {
			t.Errorf("%s, in %s: %+v, want %+v", c.name, filepath.Base(files.CA), got, want)
		}
	}
}
