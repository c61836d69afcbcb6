package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"raftcached/internal/certnames"
)

const (
	// authorityLife is how long a new authority is valid.
	authorityLife = 10 * 365 * 24 * time.Hour

	// clockSlack is how long before now certificates begin: clocks differ.
	clockSlack = time.Hour

	serialBits = 127 // a serial number is positive and has 20 bytes at most, RFC 5280
)

// Server is a server that gets a certificate.
type Server struct {
	ID    int
	Hosts []string // names and addresses at which it is reached
}

// Result is what Create has done.
type Result struct {
	Made []string  // names of certificates, as ca or server-1
	Kept []string  // those that were there
	Ends time.Time // when those that were made expire
}

// issued is a certificate that is to be made.
type issued struct {
	file     string // without .crt or .key
	template x509.Certificate
}

// Create makes what is missing in a folder: an authority, and certificates of the servers,
// of clients and of the operator, valid for life. It overwrites nothing.
func Create(dir string, servers []Server, life time.Duration) (*Result, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	now := time.Now()
	r := &Result{Ends: now.Add(life).Truncate(time.Second)}
	ca, err := r.authority(dir, now)
	if err != nil {
		return nil, err
	}
	if ca.certificate.NotAfter.Before(r.Ends) {
		r.Ends = ca.certificate.NotAfter
	}
	for _, c := range wanted(servers) {
		made, err := pairMissing(dir, c.file)
		if err != nil {
			return r, err
		}
		if !made {
			r.Kept = append(r.Kept, c.file)
			continue
		}
		c.template.NotBefore, c.template.NotAfter = now.Add(-clockSlack), r.Ends
		c.template.KeyUsage = x509.KeyUsageDigitalSignature
		if _, err := ca.sign(dir, c.file, &c.template); err != nil {
			return r, err
		}
		r.Made = append(r.Made, c.file)
	}
	return r, nil
}

// wanted returns all certificates that the authority signs.
func wanted(servers []Server) []issued {
	client, both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	var list []issued
	for _, s := range servers {
		c := issued{"server-" + strconv.Itoa(s.ID), x509.Certificate{ExtKeyUsage: both, DNSNames: []string{certnames.Server(s.ID)}}}
		for _, host := range append(slices.Clone(s.Hosts), "localhost", "127.0.0.1", "::1") {
			if ip := net.ParseIP(host); ip != nil {
				if !slices.ContainsFunc(c.template.IPAddresses, ip.Equal) {
					c.template.IPAddresses = append(c.template.IPAddresses, ip)
				}
			} else if host != "" && !slices.Contains(c.template.DNSNames, host) {
				c.template.DNSNames = append(c.template.DNSNames, host)
			}
		}
		list = append(list, c)
	}
	list = append(list,
		issued{"client", x509.Certificate{ExtKeyUsage: client, DNSNames: []string{certnames.Client}}},
		issued{"operator", x509.Certificate{ExtKeyUsage: client, DNSNames: []string{certnames.Operator}}})
	for i := range list {
		list[i].template.Subject = pkix.Name{CommonName: list[i].template.DNSNames[0]}
	}
	return list
}

// signer is an authority.
type signer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// authority returns the authority of a folder, which it makes if there is none.
func (r *Result) authority(dir string, now time.Time) (*signer, error) {
	missing, err := pairMissing(dir, "ca")
	if err != nil {
		return nil, err
	}
	if !missing {
		r.Kept = append(r.Kept, "ca")
		return readAuthority(dir)
	}
	var tag [4]byte
	_, _ = rand.Read(tag[:]) // it never fails
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "raftcached authority " + hex.EncodeToString(tag[:])}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: now.Add(-clockSlack), NotAfter: now.Add(authorityLife),
	}
	ca, err := (&signer{}).sign(dir, "ca", template)
	if err == nil {
		r.Made = append(r.Made, "ca")
	}
	return ca, err
}

// pairMissing reports whether neither a certificate nor its key is there. One without the
// other is an error: nothing is overwritten.
func pairMissing(dir, file string) (bool, error) {
	var there []string
	for _, ext := range []string{".crt", ".key"} {
		name := filepath.Join(dir, file+ext)
		if _, err := os.Lstat(name); err == nil {
			there = append(there, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if len(there) == 1 {
		return false, fmt.Errorf("there is %q without the other one of certificate and key, and nothing is overwritten: move it away", there[0])
	}
	return len(there) == 0, nil
}

// sign makes a key and a certificate of it, which an authority that is empty signs with
// that key, and writes both.
func (s *signer) sign(dir, file string, template *x509.Certificate) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)); err != nil {
		return nil, err
	}
	parent, by := s.certificate, s.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, fmt.Errorf("make the certificate %s: %w", file, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &signer{certificate, key}, writePair(dir, file, der, key)
}
