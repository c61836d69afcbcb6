package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"raftcached/internal/certnames"
)

// Reason is why a handshake failed, as this side saw it.
type Reason uint8

// The reasons. There are few, as each is a series of Prometheus for each port.
const (
	NotTLS           Reason = iota // what came was no TLS
	NoCertificate                  // the other side showed none that this one could believe
	UnknownAuthority               // of the other side's certificate
	Expired                        // the other side's certificate is, or is not valid yet
	BadCertificate                 // it is for something else, or names somebody else
	Refused                        // by the other side, which sent an alert
	Timeout                        // the other side took too long
	Closed                         // the connection ended
	Protocol                       // versions, cipher suites, or bytes that make no sense
	ReasonCount
)

// String is the reason as a label.
func (r Reason) String() string {
	return [ReasonCount]string{"not_tls", "no_certificate", "unknown_authority", "expired", "bad_certificate", "refused", "timeout", "closed", "protocol"}[r]
}

// noCertificateText is the error of crypto/tls for a client that shows none. A client has
// none to show if no authority that the server names has signed it.
const noCertificateText = "tls: client didn't provide a certificate"

// ReasonOf returns why a handshake failed that crypto/tls, or a check of package certnames,
// has ended with err.
func ReasonOf(err error) Reason {
	var (
		invalid x509.CertificateInvalidError
		op      *net.OpError
		timeout net.Error
	)
	switch {
	case errors.As(err, new(tls.RecordHeaderError)):
		return NotTLS
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return UnknownAuthority
	case errors.As(err, &invalid):
		if invalid.Reason == x509.Expired {
			return Expired
		}
		return BadCertificate
	case errors.As(err, new(x509.HostnameError)), errors.As(err, new(*certnames.NoServerError)), errors.As(err, new(*tls.CertificateVerificationError)):
		return BadCertificate
	case errors.As(err, &op) && op.Op == "remote error":
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Closed
	case err.Error() == noCertificateText:
		return NoCertificate
	}
	return Protocol
}
