package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of the tests. Only a failure reaches it.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of workers, which lives as long as the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// start runs a server of one event loop on a free port until the test ends.
func start(t *testing.T, b Backend, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{Listen: []string{"127.0.0.1:0"}, Loops: 1}
	for _, f := range change {
		f(&o)
	}
	s, err := Start(o, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // cuts the connections that are left
		_ = s.Close(ctx)
	})
	return s
}

// client is one connection to a server under test.
type client struct {
	t *testing.T
	*net.TCPConn
}

// dial connects to s until the test ends.
func dial(t *testing.T, s *Server) *client {
	t.Helper()
	return dialAddr(t, s.Addr())
}

// dialAddr connects to one of a server's addresses until the test ends.
func dialAddr(t *testing.T, a net.Addr) *client {
	t.Helper()
	to, err := net.ResolveTCPAddr(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.DialTCP("tcp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, nc}
}

// send sends the lines, each with a line end.
func (c *client) send(lines ...string) {
	c.t.Helper()
	c.sendBytes(strings.Join(lines, "\r\n") + "\r\n")
}

// sendBytes sends exactly p.
func (c *client) sendBytes(p string) {
	c.t.Helper()
	if _, err := io.WriteString(c, p); err != nil {
		c.t.Fatalf("send %.40q: %v", p, err)
	}
}

// expect reads exactly the lines.
func (c *client) expect(lines ...string) {
	c.t.Helper()
	c.expectBytes(strings.Join(lines, "\r\n") + "\r\n")
}

// expectBytes reads exactly want.
func (c *client) expectBytes(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("got %.300q (error %v), want %.300q", got[:n], err, want)
	}
}

// expectClosed reads the end of the connection.
func (c *client) expectClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		c.t.Fatalf("got %.300q (error %v), want the end of the connection", rest, err)
	}
}

// readAll reads until the end of the connection.
func (c *client) readAll() string {
	c.t.Helper()
	all, err := io.ReadAll(c)
	if err != nil {
		c.t.Fatalf("got %.300q (error %v), want the end of the connection", all, err)
	}
	return string(all)
}

// readLine reads up to the next line end, slowly.
func (c *client) readLine() string {
	c.t.Helper()
	var line []byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		var b [1]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			c.t.Fatalf("got %q (error %v), want a line", line, err)
		}
		line = append(line, b[0])
	}
	return strings.TrimSuffix(string(line), "\r\n")
}

// stats returns the lines of "stats arg" as a map.
func (c *client) stats(arg string) map[string]string {
	c.t.Helper()
	c.send(strings.TrimSpace("stats " + arg))
	m := make(map[string]string)
	for {
		line := c.readLine()
		if line == "END" {
			return m
		}
		word, rest, _ := strings.Cut(line, " ")
		name, value, _ := strings.Cut(rest, " ")
		if word != "STAT" {
			c.t.Fatalf("got line %q among stats", line)
		}
		m[name] = value
	}
}

// await waits until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// onLoop runs f on the goroutine of the server's first event loop.
func onLoop(s *Server, f func(l *loop)) {
	done := make(chan struct{})
	s.loops[0].Post(func() {
		defer close(done)
		f(s.loops[0])
	})
	<-done
}

// awaitConn waits until the server's only connection is in the state.
func awaitConn(t *testing.T, s *Server, what string, state func(c *conn) bool) {
	t.Helper()
	var last string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("last seen:", last)
		}
	})
	await(t, what, func() (ok bool) {
		onLoop(s, func(l *loop) {
			last = fmt.Sprint(len(l.conns), " connections")
			for c := range l.conns {
				ok = state(c)
				last = fmt.Sprintf("life %d, wait %d, %d unanswered, %d bytes in, %d out",
					c.life, c.wait, c.unanswered, c.events.Buffered(), c.out.waiting)
			}
		})
		return ok
	})
}
