// Package testcerts makes certificates for tests: authorities, and what they sign.
//
// Read first: NewAuthority and its method Issue, then Certificate's method Write.
//
// Keys are made of crypto/rand. One goroutine at a time may use an Authority.
package testcerts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// lifetime is how long certificates are valid, on both sides of now.
const lifetime = time.Hour

// Certificate is a certificate with its key.
type Certificate struct {
	ChainPEM, KeyPEM []byte
	Leaf             *x509.Certificate
	key              crypto.Signer
	t                testing.TB
}

// Authority signs certificates. Any goroutine may have it do so.
type Authority struct {
	*Certificate
	serial atomic.Int64
}

// NewAuthority returns an authority with a certificate of its own.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{}
	a.Certificate = a.sign(t, newKey(t), &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-lifetime), NotAfter: time.Now().Add(lifetime),
	})
	return a
}

// Issue returns a certificate for a server or a client on this machine: 127.0.0.1,
// ::1, localhost and the name. Change, if there is any, changes what is signed.
func (a *Authority) Issue(name string, change ...func(*x509.Certificate)) *Certificate {
	a.t.Helper()
	return a.IssueFor(newKey(a.t), name, change...)
}

// IssueFor is Issue for a key, which may be of any kind.
func (a *Authority) IssueFor(key crypto.Signer, name string, change ...func(*x509.Certificate)) *Certificate {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-lifetime), NotAfter: time.Now().Add(lifetime),
	}
	for _, f := range change {
		f(c)
	}
	return a.sign(a.t, key, c)
}

// Expired has Issue sign a certificate that was valid until a minute ago.
func Expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

// Early has Issue sign a certificate that will be valid in a minute.
func Early(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }

// ForServers has Issue sign a certificate that no client may show.
func ForServers(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// sign signs with the authority's key, or a new authority's own.
func (a *Authority) sign(t testing.TB, key crypto.Signer, template *x509.Certificate) *Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(a.serial.Add(1))
	parent, signer := template, key
	if a.Certificate != nil {
		parent, signer = a.Leaf, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{
		ChainPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		Leaf:     leaf, key: key, t: t,
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Write writes the certificate and the key to files NAME.pem and NAME.key of a folder,
// and returns their names.
func (c *Certificate) Write(dir, name string) (chain, key string) {
	c.t.Helper()
	chain, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, text := range map[string][]byte{chain: c.ChainPEM, key: c.KeyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return chain, key
}

// TLS returns the certificate as crypto/tls takes it.
func (c *Certificate) TLS() tls.Certificate {
	c.t.Helper()
	pair, err := tls.X509KeyPair(c.ChainPEM, c.KeyPEM)
	if err != nil {
		c.t.Fatal(err)
	}
	return pair
}

// Pool returns the authority as clients and servers believe it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Leaf)
	return pool
}

// Client returns the configuration of a client that believes the authority, and shows
// the certificates, if there are any.
func (a *Authority) Client(shown ...*Certificate) *tls.Config {
	c := &tls.Config{RootCAs: a.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	for _, certificate := range shown {
		c.Certificates = append(c.Certificates, certificate.TLS())
	}
	return c
}
