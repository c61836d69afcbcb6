// Package testclient is a memcached client for tests: it sends lines or bytes over a
// socket, with or without TLS, and fails the test if another answer comes than the expected one.
//
// Read first: Dial; Client's Send and Expect.
//
// A Client has no buffer and reads no further than it must, so that a test decides how
// much of an answer is read. One goroutine at a time may send, and one may read.
package testclient

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Patience bounds every wait for the server. It is only reached by a failure.
const Patience = 30 * time.Second

const lineEnd = "\r\n"

// Client is one connection to a server under test.
type Client struct {
	*net.TCPConn
	stream net.Conn // what is sent and received: TCPConn, or what encrypts on it
	t      testing.TB
}

// Read implements net.Conn.
func (c *Client) Read(p []byte) (int, error) { return c.stream.Read(p) }

// Write implements net.Conn.
func (c *Client) Write(p []byte) (int, error) { return c.stream.Write(p) }

// CloseWrite tells the server that nothing more will be sent.
func (c *Client) CloseWrite() error {
	return c.stream.(interface{ CloseWrite() error }).CloseWrite()
}

// DialTLS connects to host:port until the test ends, and shakes hands.
func DialTLS(t testing.TB, addr string, config *tls.Config) *Client {
	t.Helper()
	c := Dial(t, addr)
	secure := tls.Client(c.TCPConn, config)
	if err := secure.Handshake(); err != nil {
		t.Fatalf("shake hands with %s: %v", addr, err)
	}
	c.stream = secure
	return c
}

// Dial connects to host:port until the test ends.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	tcp := conn.(*net.TCPConn)
	c := &Client{tcp, tcp, t}
	c.wait()
	return c
}

// Send sends the lines, each with its line end.
func (c *Client) Send(lines ...string) {
	c.t.Helper()
	c.SendBytes(strings.Join(lines, lineEnd) + lineEnd)
}

// SendBytes sends exactly p.
func (c *Client) SendBytes(p string) {
	c.t.Helper()
	c.wait()
	if _, err := io.WriteString(c, p); err != nil {
		c.t.Fatalf("send %.40q: %v", p, err)
	}
}

// wait sets the deadline of the next operation.
func (c *Client) wait() {
	c.t.Helper()
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		c.t.Fatal(err)
	}
}

// Expect reads as many bytes as the lines have, which must be the lines.
func (c *Client) Expect(lines ...string) {
	c.t.Helper()
	c.ExpectBytes(strings.Join(lines, lineEnd) + lineEnd)
}

// ExpectBytes reads exactly want.
func (c *Client) ExpectBytes(want string) {
	c.t.Helper()
	c.wait()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("got %.300q (error %v), want %.300q", got[:n], err, want)
	}
}

// ExpectClosed reads the end of the connection, and nothing before it.
func (c *Client) ExpectClosed() {
	c.t.Helper()
	if rest := c.ReadAll(); rest != "" {
		c.t.Fatalf("got %.300q, want the end of the connection", rest)
	}
}

// ReadAll reads until the end of the connection.
func (c *Client) ReadAll() string {
	c.t.Helper()
	c.wait()
	all, err := io.ReadAll(c)
	if err != nil {
		c.t.Fatalf("got %.300q (error %v), want the end of the connection", all, err)
	}
	return string(all)
}

// ReadLine reads a line and returns it without its end.
func (c *Client) ReadLine() string {
	c.t.Helper()
	c.wait()
	var line []byte
	for !bytes.HasSuffix(line, []byte(lineEnd)) {
		var b [1]byte // no further than the line
		if _, err := io.ReadFull(c, b[:]); err != nil {
			c.t.Fatalf("got %q (error %v), want a line", line, err)
		}
		line = append(line, b[0])
	}
	return strings.TrimSuffix(string(line), lineEnd)
}

// Ask sends lines and returns the first line of the answer.
func (c *Client) Ask(lines ...string) string {
	c.t.Helper()
	c.Send(lines...)
	return c.ReadLine()
}

// Stats returns the answer to "stats arg" by name.
func (c *Client) Stats(arg string) map[string]string {
	c.t.Helper()
	m := make(map[string]string)
	for line := c.Ask(strings.TrimSpace("stats " + arg)); line != "END"; line = c.ReadLine() {
		word, rest, _ := strings.Cut(line, " ")
		name, value, _ := strings.Cut(rest, " ")
		if word != "STAT" {
			c.t.Fatalf("got line %q among stats", line)
		}
		m[name] = value
	}
	return m
}
