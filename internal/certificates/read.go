package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// fileBytesMax is the length of the longest file: a bundle of all authorities of a
// browser has 230 KiB. A longer one is an error.
const fileBytesMax = 1 << 20

// readPair reads a certificate and its key, which must match, and be valid at now.
func readPair(chainFile, keyFile string, now time.Time) (tls.Certificate, error) {
	chainPEM, err := readFile("certificate", chainFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, err := parseChain(chainPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate file %q %w", chainFile, err)
	}
	for _, c := range chain {
		if err = checkDates(c, now); err != nil {
			return tls.Certificate{}, fmt.Errorf("certificate file %q: %w", chainFile, err)
		}
	}
	keyPEM, err := readFile("key", keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err = checkKey(keyPEM); err != nil {
		return tls.Certificate{}, fmt.Errorf("key file %q %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key file %q does not go with certificate file %q: %s", keyFile, chainFile, withoutPrefix(err))
	}
	return pair, nil
}

// readAuthorities reads the certificates of authorities. One that has expired is not an
// error, because files hold an old one beside its successor, but one must be valid.
func readAuthorities(file string, now time.Time) ([]*x509.Certificate, error) {
	text, err := readFile("CA", file)
	if err != nil {
		return nil, err
	}
	all, err := parseChain(text)
	if err != nil {
		return nil, fmt.Errorf("CA file %q %w", file, err)
	}
	var bad error
	valid := 0
	for _, c := range all {
		if !c.IsCA {
			return nil, fmt.Errorf("CA file %q holds the certificate of %s, which is no authority: it may not sign certificates", file, nameOf(c))
		}
		if err := checkDates(c, now); err != nil {
			bad = err
		} else {
			valid++
		}
	}
	if valid == 0 {
		return nil, fmt.Errorf("CA file %q: %w", file, bad)
	}
	return all, nil
}

func poolOf(all []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool
}

// readFile reads a whole file. What names it in errors.
func readFile(what, name string) ([]byte, error) {
	if name == "" {
		return nil, fmt.Errorf("no %s file is configured", what)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the %s file: %w", what, err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the %s file: %w", what, err)
	case len(text) > fileBytesMax:
		return nil, fmt.Errorf("%s file %q is longer than %d bytes", what, name, fileBytesMax)
	}
	return text, nil
}

// parseChain returns the certificates of a PEM text, of which there must be one. Other
// blocks are passed over: a key may be in the same file.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has a certificate, number %d, that cannot be read: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New(`holds no certificate: its text must have a line "-----BEGIN CERTIFICATE-----"`)
	}
	return chain, nil
}

// checkKey says in words what crypto/tls would say of a text without a key that it can
// use.
func checkKey(text []byte) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED") || bytes.Contains([]byte(block.Headers["Proc-Type"]), []byte("ENCRYPTED")) {
			return errors.New("is encrypted, and a server that starts has nobody to ask for the passphrase: write the key without one, readable by the server's user alone")
		}
		return nil
	}
	return errors.New(`holds no private key: its text must have a line like "-----BEGIN PRIVATE KEY-----"`)
}

// checkDates reports a certificate that is not valid at now.
func checkDates(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of %s expired at %s, it is now %s", nameOf(c), shown(c.NotAfter), shown(now))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate of %s is valid from %s, it is now %s", nameOf(c), shown(c.NotBefore), shown(now))
	}
	return nil
}

func shown(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// withoutPrefix returns an error of crypto/tls without the package's name.
func withoutPrefix(err error) string { return strings.TrimPrefix(err.Error(), "tls: ") }
