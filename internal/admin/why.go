package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// NotReached reports whether a request was not even sent.
func NotReached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Why says in a few words why a server did not answer.
func Why(err error) string {
	var (
		errno   syscall.Errno
		timeout net.Error
		dns     *net.DNSError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks no TLS, and is on another machine: leave out --cert, or give the servers certificates (peerCertFile)"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "its certificate is signed by an authority that is not in the file of --cacert"
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is unknown"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	case strings.Contains(err.Error(), "malformed HTTP"):
		return "it does not speak HTTP: this is not an admin port"
	}
	return err.Error()
}
