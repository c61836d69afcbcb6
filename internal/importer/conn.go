package importer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	dialTimeout = 3 * time.Second

	// answerTimeout is how long an answer, or room to write, may take.
	answerTimeout = 30 * time.Second

	// lineBytesMax bounds a line: a key of 250 bytes, each written as %XX, and its
	// fields.
	lineBytesMax = 8 << 10
)

// conn is a connection to a server that speaks memcached's text protocol.
type conn struct {
	net.Conn
	in   *bufio.Reader
	stop func() bool // no longer close the connection with the context
}

// dial connects, with TLS unless secure is nil, and logs in. The connection is closed when
// the context ends.
func dial(ctx context.Context, addr string, secure *tls.Config, l Login) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if secure != nil {
		if nc, err = shakeHands(ctx, nc, addr, secure); err != nil {
			return nil, err
		}
	}
	c := &conn{Conn: nc, in: bufio.NewReaderSize(nc, lineBytesMax)}
	c.stop = context.AfterFunc(ctx, func() { _ = nc.Close() })
	if len(l.User) == 0 {
		return c, nil
	}
	line, err := c.ask(fmt.Appendf(nil, "set login 0 0 %d\r\n%s %s\r\n", len(l.User)+1+len(l.Password), l.User, l.Password))
	if err == nil && string(line) != "STORED" {
		err = fmt.Errorf("log in at %s: %s", addr, line)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// shakeHands returns a connection in TLS with the server at an address, whose certificate must
// name its host.
func shakeHands(ctx context.Context, nc net.Conn, addr string, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config := secure.Clone()
	config.ServerName, _, _ = net.SplitHostPort(addr)
	c := tls.Client(nc, config)
	err := c.HandshakeContext(ctx)
	if err == nil {
		return c, nil
	}
	_ = nc.Close()
	if errors.As(err, new(tls.RecordHeaderError)) {
		return nil, fmt.Errorf("speak TLS with %s: it serves without", addr)
	}
	return nil, fmt.Errorf("speak TLS with %s: %w", addr, err)
}

func (c *conn) close() {
	c.stop()
	_ = c.Close() // every answer was read, or does not matter
}

// send writes requests.
func (c *conn) send(p []byte) error {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}

// ask sends one request and returns the first line of its answer.
func (c *conn) ask(p []byte) ([]byte, error) {
	if err := c.send(p); err != nil {
		return nil, err
	}
	return c.line()
}

// line reads a line and returns it, without its end, until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("a line of more than %d bytes", lineBytesMax)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'}), err
}
