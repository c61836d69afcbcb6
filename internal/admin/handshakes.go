package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"raftcached/internal/handshake"
)

// refusalOfPlain answers who speaks no TLS, as Go's HTTP server does.
const refusalOfPlain = "HTTP/1.0 400 Bad Request\r\n\r\n" + tlsExpected + ".\n"

// secured is a listener whose connections have shaken hands in TLS. Each does so on a goroutine
// of its own, so that nobody waits for one that does not go on; those are among the connections
// that are limited. http.Server would shake hands too, and not say when it is done with that,
// which is when a connection takes no turn any more.
type secured struct {
	net.Listener
	config  *tls.Config
	count   *handshake.Counter
	logger  *slog.Logger
	shaken  chan shaken
	ctx     context.Context // ends with the listener
	cancel  context.CancelFunc
	working sync.WaitGroup
}

// shaken is what Accept returns.
type shaken struct {
	conn net.Conn
	err  error
}

// turning is a listener whose connections take turns in their handshakes.
type turning struct {
	net.Listener
	port *handshake.Port
}

// Accept implements net.Listener.
func (t turning) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return t.port.Conn(conn), nil
}

func shakeHands(l net.Listener, c *Config) *secured {
	s := &secured{
		Listener: limit(turning{l, cmp.Or(c.Handshakes, handshake.NewPort())}, connsMax),
		config:   c.TLS, count: cmp.Or(c.Shaken, new(handshake.Counter)), logger: c.Logger, shaken: make(chan shaken),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.working.Go(s.accept)
	return s
}

// accept begins handshakes until the listener is closed.
func (s *secured) accept() {
	for {
		conn, err := s.Listener.Accept()
		switch {
		case err == nil:
			s.working.Go(func() { s.shake(conn.(*limitedConn)) })
		case !s.pass(shaken{err: err}) || errors.Is(err, net.ErrClosed):
			return
		}
	}
}

// pass gives something to Accept, and reports false if the listener has closed before.
func (s *secured) pass(result shaken) bool {
	select {
	case s.shaken <- result:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// shake shakes hands on a connection.
func (s *secured) shake(conn *limitedConn) {
	_ = conn.SetDeadline(time.Now().Add(headerTimeout)) // it fails only if the connection has given way
	session := tls.Server(conn, s.config)
	err := session.HandshakeContext(s.ctx)
	conn.Conn.(*handshake.Conn).Over()
	s.count.Count(err)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		s.logger.Debug("shake hands at the admin port", "remote", conn.RemoteAddr().String(), "error", err)
		if looksLikeHTTP(err) {
			_, _ = io.WriteString(conn, refusalOfPlain) // the client may be gone
		}
	}
	if err != nil || !s.pass(shaken{conn: session}) {
		_ = conn.Close()
	}
}

// looksLikeHTTP reports whether a handshake has failed since the other side has sent a request
// without TLS.
func looksLikeHTTP(err error) bool {
	header, is := errors.AsType[tls.RecordHeaderError](err)
	if !is {
		return false
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// Accept implements net.Listener.
func (s *secured) Accept() (net.Conn, error) {
	select {
	case result := <-s.shaken:
		return result.conn, result.err
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends the handshakes that are under way.
func (s *secured) Close() error {
	s.cancel()
	err := s.Listener.Close()
	s.working.Wait()
	return err
}
