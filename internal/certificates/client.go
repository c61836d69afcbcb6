package certificates

import (
	"crypto/tls"
	"time"
)

// Client returns the configuration of a client that knows servers by the authorities of f.CA, or
// without one by those of this machine, and shows the certificate of f.Chain, if there is one.
// ServerName is the caller's to set.
func Client(f Files) (*tls.Config, error) {
	if f.Key == "" {
		f.Key = f.Chain
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	now := time.Now()
	if f.Chain != "" {
		pair, err := readPair(f.Chain, f.Key, now)
		if err != nil {
			return nil, err
		}
		// Also to a server that names other authorities: it says then what it does not believe.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if f.CA != "" {
		authorities, err := readAuthorities(f.CA, now)
		if err != nil {
			return nil, err
		}
		c.RootCAs = poolOf(authorities)
	}
	return c, nil
}
