package certnames

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	domain      = ".raftcached"
	serverLabel = "server-"

	// Operator is who may change the cluster.
	Operator = "operator" + domain

	// Client is a client of the cluster.
	Client = "client" + domain
)

// Server is the name of a server.
func Server(id int) string { return serverLabel + strconv.Itoa(id) + domain }

// Has reports whether a certificate has a name, written in just this way.
func Has(c *x509.Certificate, name string) bool { return slices.Contains(c.DNSNames, name) }

// CheckServer refuses a certificate that names no server, as one of a client. The error
// is a *NoServerError.
func CheckServer(c *x509.Certificate) error {
	if slices.ContainsFunc(c.DNSNames, isServer) {
		return nil
	}
	return &NoServerError{Names: Text(c)}
}

func isServer(name string) bool {
	number, _ := strings.CutSuffix(name, domain)
	number, _ = strings.CutPrefix(number, serverLabel)
	id, err := strconv.Atoi(number)
	return err == nil && id >= 0 && Server(id) == name
}

// NoServerError is about a certificate that names no server.
type NoServerError struct{ Names string }

// Error implements error.
func (e *NoServerError) Error() string {
	return fmt.Sprintf("its certificate names %s, and no server: the name of server N is %sN%s", e.Names, serverLabel, domain)
}

// textMax bounds the names of a certificate that are shown.
const textMax = 8

// Text lists whom a certificate names, for people.
func Text(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "nobody"
	case len(names) > textMax:
		names = append(names[:textMax], "...")
	}
	return strings.Join(names, ", ")
}

// VerifyServer has a client believe the certificate of any server that one of cfg.RootCAs
// has signed, in place of one with the name cfg.ServerName. It has the client do itself
// what crypto/tls does if there is a name to look for.
func VerifyServer(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		o := x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if cfg.Time != nil {
			o.CurrentTime = cfg.Time()
		}
		if o.Roots == nil {
			o.Roots = x509.NewCertPool() // never the system's
		}
		if _, err := s.PeerCertificates[0].Verify(o); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return CheckServer(s.PeerCertificates[0])
	}
}
