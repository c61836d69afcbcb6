package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/handshake"
)

// With TLS the handshake of doc.go is made in a connection of TLS 1.3, in which both
// sides have shown a certificate:
//
//	dialer                     acceptor
//	ClientHello     ---->                        its first byte, 22, says that this is TLS
//	                <----      certificate       which must name the server that was dialed
//	certificate     ---->                        which must name a server
//	hello           ---->                        which must say the server that is named
//	                <----      hello             likewise
//
// Package certnames says how certificates name servers.

// TLS is how a node proves to its peers who it is, and how it knows them. The functions
// return what one handshake uses. What they return is the Transport's. The
// configurations have certificates, and authorities for those of the others.
type TLS struct {
	// Server demands a certificate that an authority has signed, and has verify decide
	// about the connection then.
	Server func(verify func(tls.ConnectionState) error) *tls.Config

	// Client does so with the server's certificate, which must have the name.
	Client func(serverName string) *tls.Config

	// Shaken, if it is set, counts handshakes of TLS, with who dials and who is dialed.
	Shaken *handshake.Counter

	// Optional lets in who speaks no TLS, and does without it where a peer has none. It
	// is for a cluster that is about to get it: who can change what is on its way can have
	// a connection go without.
	Optional bool

	// Fault reports what is wrong with the certificate that the configurations have, by
	// their own authorities and the clock; nil: not known.
	Fault func() error

	spoken spoken
}

// count counts a handshake that has ended.
func (t *TLS) count(err error) {
	if t.Shaken != nil {
		t.Shaken.Count(err)
	}
}

// anyServer is dialed if it is not known which server is at an address.
const anyServer = -1

const (
	recordTypeHandshake = 22 // RFC 8446, section 5.1: the first byte of a connection
	recordVersionMajor  = 3  // and the second
)

// errSpeaksTLS reports a connection of TLS where none is expected.
var errSpeaksTLS = errors.New("it speaks TLS")

// errNoTLS reports that what answers at an address speaks no TLS.
var errNoTLS = errors.New("it speaks no TLS at its log port")

// secured is a connection in TLS. Closing it closes what is below, and so never waits:
// a farewell would have to be written.
type secured struct {
	*tls.Conn
	raw net.Conn
}

// Close implements net.Conn.
func (s secured) Close() error { return s.raw.Close() }

// preread is a connection from which a part was read already.
type preread struct {
	net.Conn
	read []byte
}

// Read implements io.Reader.
func (p *preread) Read(b []byte) (int, error) {
	if len(p.read) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.read)
	p.read = p.read[n:]
	return n, nil
}

// secureAccepted shakes hands in TLS on a connection that was accepted, if this node has
// it. A *RefusedError says why the other side is none that this node speaks with.
func (t *Transport) secureAccepted(shaking *handshake.Conn) (net.Conn, error) {
	conn := shaking.Conn
	if t.config.TLS == nil {
		return conn, nil
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, err
	}
	switch {
	case first[0] == recordTypeHandshake:
	case t.config.TLS.Optional:
		return &preread{conn, first}, nil
	default:
		t.config.TLS.count(tls.RecordHeaderError{})
		return nil, t.refusePlain(&preread{conn, first})
	}
	c := tls.Server(&preread{shaking, first}, t.config.TLS.Server(func(s tls.ConnectionState) error { return certnames.CheckServer(s.PeerCertificates[0]) }))
	err := c.HandshakeContext(t.ctx)
	shaking.Over()
	t.config.TLS.count(err)
	if err != nil {
		return nil, explained(err)
	}
	return secured{c, conn}, nil
}

// refusePlain refuses a peer that speaks no TLS, in the words that it understands.
func (t *Transport) refusePlain(conn net.Conn) error {
	theirs, err := readFrame(conn)
	if err != nil {
		return refuse("it speaks no TLS")
	}
	h, err := readHello(theirs)
	if err != nil {
		return refuse("it speaks no TLS")
	}
	return t.refuse(conn, refuse("server %d has no TLS for the log port and server %d demands it: give all servers certificates, or let both go without for a while by \"peerTLS\": \"optional\"",
		h.ServerID, t.config.ServerID))
}

// refuseTLS tells a peer that speaks TLS that this node has none: its TLS finds that the
// answer is not TLS.
func (t *Transport) refuseTLS(conn net.Conn) error {
	err := t.refuse(conn, refuse("it speaks TLS, and server %d has none for the log port: give all servers certificates", t.config.ServerID))
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		// Closing with unread input would reset the connection, and the answer be lost.
		_, _ = io.CopyN(io.Discard, conn, helloBytesMax)
	}
	return err
}

// secureDialed shakes hands in TLS on a connection to a server. The error is errNoTLS if the
// other side has none, or may have none: older tells that it may be a program that knows no TLS.
func (t *Transport) secureDialed(ctx context.Context, conn net.Conn, serverID int, older bool) (net.Conn, error) {
	cfg := t.config.TLS.Client(certnames.Server(max(serverID, 0)))
	if serverID == anyServer {
		certnames.VerifyServer(cfg)
	}
	c := tls.Client(conn, cfg)
	err := c.HandshakeContext(ctx)
	t.config.TLS.count(err)
	switch {
	case err == nil:
		return secured{c, conn}, nil
	case errors.As(err, new(tls.RecordHeaderError)):
		return nil, errNoTLS
	case older && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return nil, errNoTLS
	}
	return nil, explained(err)
}

// checkNamed refuses a peer whose certificate does not name the server that its hello
// says it is, or that comes without TLS and has had it before.
func (t *Transport) checkNamed(conn net.Conn, remote *Hello) error {
	s, is := conn.(secured)
	if !is {
		if t.config.TLS != nil && t.config.TLS.spoken.by(remote.ServerID, "") {
			return refuse("server %d is without TLS now, and has used it with server %d before: if it is to do without again, restart server %d",
				remote.ServerID, t.config.ServerID, t.config.ServerID)
		}
		return nil
	}
	leaf := s.ConnectionState().PeerCertificates[0]
	if certnames.Has(leaf, certnames.Server(remote.ServerID)) {
		t.config.TLS.spoken.note(remote.ServerID, "")
		return nil
	}
	return refuse("server %d shows a certificate that names %s, and not %s: give each server its own", remote.ServerID, certnames.Text(leaf), certnames.Server(remote.ServerID))
}

// ofTLS returns what an error means that may be of TLS. It may be another certificate's, or
// authority's, than this node's.
func ofTLS(err error) error {
	was := isRefused(err)
	err = explained(err)
	if refused, is := errors.AsType[*RefusedError](err); is && !was {
		refused.OneSided = true
	}
	return err
}

// fault returns what is wrong with this node's own certificate, if something of TLS has been
// refused: it stays whomever the node asks.
func (t *Transport) fault(err error) error {
	refused, is := errors.AsType[*RefusedError](err)
	if !is || !refused.OneSided || t.config.TLS == nil || t.config.TLS.Fault == nil {
		return nil
	}
	if fault := t.config.TLS.Fault(); fault != nil {
		return refuse("%v", fault)
	}
	return nil
}

// explained returns what an error of TLS means, as a *RefusedError if a change of the
// configuration helps, on this side or the other one: ours, unless it is what the other
// side said. Its sentence does not vary from one attempt to the next.
func explained(err error) error {
	var (
		refused   *RefusedError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		nobody    *certnames.NoServerError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &refused), errors.As(err, new(net.Error)) && !errors.As(err, &op):
		return err
	case errors.As(err, &authority):
		return byUs(refuse("its certificate is signed by an authority that is not in this server's CA file: is it of another cluster?"))
	case errors.As(err, &invalid):
		return byUs(refuse("%s", invalidity(&invalid)))
	case errors.As(err, &name):
		return byUs(refuse("its certificate names %s, not %s", certnames.Text(name.Certificate), name.Host))
	case errors.As(err, &nobody):
		return byUs(refuse("%v", nobody))
	case errors.As(err, &op) && op.Op == "remote error":
		return refuse("it refuses this server's certificate, or its TLS (%s): its log says more", strings.TrimPrefix(op.Err.Error(), "tls: "))
	case handshake.ReasonOf(err) == handshake.NoCertificate:
		return byUs(refuse("it shows no certificate of an authority that is in this server's CA file: is it of another cluster?"))
	case strings.HasPrefix(err.Error(), "tls: "):
		return byUs(refuse("TLS: %s", strings.TrimPrefix(err.Error(), "tls: ")))
	}
	return err
}

// invalidity says what is wrong with a certificate.
func invalidity(err *x509.CertificateInvalidError) string {
	switch {
	case err.Reason == x509.Expired && time.Now().Before(err.Cert.NotBefore):
		return "its certificate is valid from " + err.Cert.NotBefore.UTC().Format(time.RFC3339) + " on: compare the clocks"
	case err.Reason == x509.Expired:
		return "its certificate expired at " + err.Cert.NotAfter.UTC().Format(time.RFC3339)
	case err.Reason == x509.IncompatibleUsage:
		return "its certificate may not be used on this side of a connection: a server's needs the extended key usages serverAuth and clientAuth"
	}
	return fmt.Sprintf("its certificate is not valid: %v", err)
}
