package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"
)

// expiryNotice is how long before it expires a certificate should be replaced.
const expiryNotice = 14 * 24 * time.Hour

// Files names what a Keyring reads.
type Files struct {
	Chain string // the server's certificate, and those between it and its authority
	Key   string // its key; empty: it is in Chain too
	CA    string // the authorities whose certificates are believed; empty: nobody's
}

// Keyring is what Files held when they were last read without an error.
type Keyring struct {
	files   Files
	now     func() time.Time
	current atomic.Pointer[contents]
}

// contents is what was read at one time. It does not change.
type contents struct {
	certificate tls.Certificate     // with its Leaf
	authorities *x509.CertPool      // never nil
	lasting     []*x509.Certificate // the same, but for those that were renewed
	read        time.Time
}

// Open reads the files. What is wrong with them is an error that names the file.
func Open(f Files) (*Keyring, error) {
	if f.Key == "" {
		f.Key = f.Chain
	}
	k := &Keyring{files: f, now: time.Now}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the files again. After an error all that was held before stays.
func (k *Keyring) Reload() error {
	now := k.now()
	certificate, err := readPair(k.files.Chain, k.files.Key, now)
	if err != nil {
		return err
	}
	var authorities []*x509.Certificate
	if k.files.CA != "" {
		if authorities, err = readAuthorities(k.files.CA, now); err != nil {
			return err
		}
	}
	k.current.Store(&contents{certificate, poolOf(authorities), lasting(authorities), now})
	return nil
}

// Files returns the names of the files. Key is never empty.
func (k *Keyring) Files() Files { return k.files }

// Read returns when the files were last read without an error.
func (k *Keyring) Read() time.Time { return k.current.Load().read }

// Expires returns when the certificate that is held expires, or the first of those
// between it and its authority.
func (k *Keyring) Expires() time.Time { return k.current.Load().expires() }

// ExpiresSoon reports whether what Expires tells comes within expiryNotice, or within a
// quarter of the certificate's life if that is less.
func (k *Keyring) ExpiresSoon() bool {
	leaf := k.current.Load().certificate.Leaf
	notice := min(expiryNotice, leaf.NotAfter.Sub(leaf.NotBefore)/4)
	return k.Expires().Sub(k.now()) < notice
}

func (c *contents) expires() time.Time {
	first := c.certificate.Leaf.NotAfter
	for _, der := range c.certificate.Certificate[1:] {
		if between, err := x509.ParseCertificate(der); err == nil && between.NotAfter.Before(first) {
			first = between.NotAfter
		}
	}
	return first
}

// String says whose certificate is held, by whom it was signed, and until when it is
// valid. It is for the server log.
func (k *Keyring) String() string {
	leaf := k.current.Load().certificate.Leaf
	return fmt.Sprintf("%s, signed by %s, valid until %s", nameOf(leaf), leaf.Issuer, k.Expires().UTC().Format(time.RFC3339))
}

// nameOf returns what an operator knows a certificate by.
func nameOf(c *x509.Certificate) string {
	switch {
	case c.Subject.String() != "":
		return c.Subject.String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return "serial number " + c.SerialNumber.String()
}
