package eventloop

import (
	"crypto/tls"
	"errors"
	"io"
)

const (
	// recordBytesMax is the most plaintext that a record of TLS has (RFC 8446 §5.1).
	recordBytesMax = 16 << 10

	// sealedSpareMax is the largest buffer for encrypted output that a loop keeps.
	sealedSpareMax = 512 << 10
)

// tlsConn is a Conn that decrypts the input of a gnetConn, whose Handler it is, and
// encrypts its output. Its handshake is over. All of it belongs to the loop's goroutine.
//
// crypto/tls is made for sockets that wait. Its reads wait here for nothing: they get an
// error, notYetError, after which a session can go on, record by record. Its writes go to a
// buffer of the loop, so that all records of one Write leave together.
type tlsConn struct {
	session *tls.Conn
	wire    *wire
	socket  *gnetConn
	loop    *gnetLoop
	handler Handler
	in      plainInput

	finSeen bool // the socket's input has ended
	ended   bool // the handler knows of the end of input
	closed  bool
}

// tlsLoop is what the encrypted connections of a loop share.
type tlsLoop struct {
	record []byte   // what was decrypted last; recordBytesMax long once it is needed
	sealed []byte   // what is to be sent now
	spare  [][]byte // buffers for input
}

// open binds the connection to its loop, and returns the handler of the socket's events.
func (t *tlsConn) open(socket *gnetConn, l *gnetLoop) Handler {
	t.socket, t.loop = socket, l
	t.wire.served = t
	if l.tls.record == nil {
		l.tls.record = make([]byte, recordBytesMax)
	}
	t.handler = l.handler.Open(t)
	l.Post(t.Readable) // the session may have read more than the handshake
	return t
}

// readSealed is what the session reads with.
func (t *tlsConn) readSealed(p []byte) (int, error) {
	n := copy(p, t.socket.Peek())
	switch {
	case n > 0:
		t.socket.Discard(n)
		return n, nil
	case t.finSeen:
		return 0, io.EOF
	}
	return 0, notYetError{}
}

// writeSealed is what the session writes with: send follows.
func (t *tlsConn) writeSealed(p []byte) (int, error) {
	t.loop.tls.sealed = append(t.loop.tls.sealed, p...)
	return len(p), nil
}

// send sends what the session has written.
func (t *tlsConn) send() {
	shared := &t.loop.tls
	sealed := shared.sealed
	if len(sealed) == 0 {
		return
	}
	shared.sealed = nil // the write may close this connection, and a handler write to another
	t.socket.Write(sealed)
	if shared.sealed == nil && cap(sealed) <= sealedSpareMax {
		shared.sealed = sealed[:0]
	}
}

// Readable implements Handler for the socket.
func (t *tlsConn) Readable() {
	switch {
	case t.closed:
		return
	case t.ended:
		t.socket.Discard(t.socket.Buffered())
		return
	}
	before := t.in.size()
	err := t.decrypt()
	t.send() // an alert, or the answer to a change of keys
	if !t.closed && t.in.size() > before {
		t.handler.Readable()
	}
	switch {
	case t.closed || errors.Is(err, notYetError{}):
	case errors.Is(err, io.EOF):
		t.ended = true
		t.handler.InputEnded()
	default:
		t.socket.engine.protocolErrors.Add(1)
		t.loop.log.Debug("decrypt what a client sent", "remote", t.RemoteAddr(), "error", err)
		t.socket.Close()
	}
}

// decrypt adds to the input what has arrived. It returns what kept it from going on.
func (t *tlsConn) decrypt() error {
	for {
		n, err := t.session.Read(t.loop.tls.record)
		if n > 0 {
			if failed := t.in.add(t.loop.tls.record[:n], t.loop); failed != nil {
				return failed
			}
		}
		if err != nil {
			return err
		}
	}
}

// InputEnded implements Handler for the socket. A client that has not said farewell, as
// TLS demands, is believed if its last record was whole: each request says itself where
// it ends, so whoever cuts the connection gains no more than that it is cut.
func (t *tlsConn) InputEnded() {
	t.finSeen = true
	t.Readable()
}

// Writable implements Handler for the socket.
func (t *tlsConn) Writable() { t.handler.Writable() }

// Closed implements Handler for the socket.
func (t *tlsConn) Closed() {
	t.closed = true
	t.in.leave(t.loop)
	t.handler.Closed()
}

// FD implements Conn.
func (t *tlsConn) FD() int { return t.socket.FD() }

// RemoteAddr implements Conn.
func (t *tlsConn) RemoteAddr() string { return t.socket.RemoteAddr() }

// LocalAddr implements Conn.
func (t *tlsConn) LocalAddr() string { return t.socket.LocalAddr() }

// Peek implements Conn.
func (t *tlsConn) Peek() []byte { return t.in.bytes() }

// Discard implements Conn.
func (t *tlsConn) Discard(n int) { t.in.discard(n, t.loop) }

// Buffered implements Conn.
func (t *tlsConn) Buffered() int { return t.in.size() }

// Write implements Conn.
func (t *tlsConn) Write(p []byte) {
	if t.closed || len(p) == 0 {
		return
	}
	if _, err := t.session.Write(p); err != nil { // the session has failed before
		t.socket.Close()
		return
	}
	t.send()
}

// Outbound implements Conn. It counts what is encrypted.
func (t *tlsConn) Outbound() int { return t.socket.Outbound() }

// NotifyOutbound implements Conn.
func (t *tlsConn) NotifyOutbound(limit int) { t.socket.NotifyOutbound(limit) }

// Pause implements Conn.
func (t *tlsConn) Pause() { t.socket.Pause() }

// Resume implements Conn.
func (t *tlsConn) Resume() { t.socket.Resume() }

// Close implements Conn. A client that has taken all is told that no more comes.
func (t *tlsConn) Close() {
	if t.closed {
		return
	}
	if t.socket.Outbound() == 0 {
		_ = t.session.CloseWrite() // writes to a buffer
		t.send()
	}
	t.socket.Close()
}
