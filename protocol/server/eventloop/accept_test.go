package eventloop

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// full is a listener of a process that has no descriptor left, for some attempts.
type full struct {
	net.Listener
	left atomic.Int32
}

func (f *full) Accept() (net.Conn, error) {
	if f.left.Add(-1) < 0 {
		return f.Listener.Accept()
	}
	return nil, os.NewSyscallError("accept4", syscall.EMFILE)
}

// TestNoDescriptorsAreToldOfOnce, and once that there are some again, however often accepting
// has failed.
func TestNoDescriptorsAreToldOfOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	without := &full{Listener: ln}
	without.left.Store(10)
	e := newEngine(t, &loopHooks{open: ignore}, func(c *Config) {
		c.Listeners, c.Logger = []net.Listener{without}, slog.New(slog.NewTextHandler(&log, nil))
	})
	dial(t, e)
	e.awaitAccepted(t, 1)
	e.StopAccepting() // so nobody writes to log
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "cannot accept connections") || !strings.Contains(got, "too many open files") ||
		!strings.Contains(got, "connections are accepted again") || !strings.Contains(got, "failures=10") {
		t.Errorf("it logs\n%s", got)
	}
}
