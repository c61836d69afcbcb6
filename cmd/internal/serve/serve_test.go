package serve

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"raftcached"
)

// gnet starts goroutines when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// TestWrongFlagsExit: a mistake ends the process with exit code 64 and one
// sentence, before anything is opened.
func TestWrongFlagsExit(t *testing.T) {
	var stderr bytes.Buffer
	code := Main(Process{
		Args:   []string{"-m", "20000"},
		Stderr: &stderr,
		Open: func(context.Context, raftcached.Config) (Node, error) {
			t.Error("the node was opened")
			return nil, errors.New("opened")
		},
	})
	const want = "raftcached: -m is \"20000\": write a whole number of MiB from 1 to 16383\n"
	if got := stderr.String(); got != want || code != 64 {
		t.Errorf("exit code %d and\n  %swant exit code 64 and\n  %s", code, got, want)
	}
}

func TestVersionAndHelp(t *testing.T) {
	var stdout bytes.Buffer
	p := Process{Args: []string{"-V"}, Stdout: &stdout}
	if code := Main(p); code != 0 || stdout.String() != "raftcached "+raftcached.Version+" (memcached 1.6.45 protocol)\n" {
		t.Errorf("-V gives exit code %d and %q", code, &stdout)
	}
	stdout.Reset()
	p.Args = []string{"--help"}
	if code := Main(p); code != 0 {
		t.Errorf("--help gives exit code %d", code)
	}
	if !strings.Contains(stdout.String(), "\n  -m, --memory-limit MIB ") {
		t.Errorf("--help does not mention -m: %s", &stdout)
	}
}

// fakeNode stops when it is told to fail or to close.
type fakeNode struct {
	done    chan struct{}
	err     error
	closed  bool
	removed bool
	reload  func() error
	alive   func(context.Context) error
}

func (n *fakeNode) Alive(ctx context.Context) error { return n.alive(ctx) }

func (n *fakeNode) PeerAddr() string { return "" }

func (n *fakeNode) Removed() bool { return n.removed }

func (n *fakeNode) Members() []int { return []int{0} }

func (n *fakeNode) ClientAddrs() []net.Addr {
	return []net.Addr{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40001}, &net.TCPAddr{IP: net.IPv6loopback, Port: 40002}}
}

func (n *fakeNode) Close() error          { n.closed = true; return nil }
func (n *fakeNode) Done() <-chan struct{} { return n.done }
func (n *fakeNode) Err() error            { return n.err }
func (n *fakeNode) Reload() error         { return n.reload() }

func runFake(open func(context.Context, raftcached.Config) (Node, error), stop chan struct{}) (code int, stderr string) {
	var out bytes.Buffer
	code = Main(Process{Stderr: &out, Open: open, Stop: stop})
	return code, out.String()
}

// TestExitCodes: 0 for an ordered stop, 1 for a failure, 78 for what a restart
// does not mend.
func TestExitCodes(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	node := &fakeNode{done: make(chan struct{})}
	open := func(context.Context, raftcached.Config) (Node, error) { return node, nil }
	if code, _ := runFake(open, stop); code != 0 || !node.closed {
		t.Errorf("ordered stop: exit code %d, closed %v; want 0, true", code, node.closed)
	}

	node = &fakeNode{done: make(chan struct{}), err: errors.New("sync segment: no space left")}
	close(node.done)
	code, stderr := runFake(open, nil)
	if !strings.Contains(stderr, `msg=serving clients=127.0.0.1:40001,[::1]:40002 `) {
		t.Errorf("stderr does not tell the real addresses: %q", stderr)
	}
	if code != 1 || !node.closed || !strings.HasSuffix(stderr, "raftcached: sync segment: no space left\n") {
		t.Errorf("failure: exit code %d, closed %v, stderr %q; want 1, true and the reason", code, node.closed, stderr)
	}

	node.removed = true
	if _, stderr := runFake(open, nil); strings.Contains(stderr, "msg=serving") {
		t.Errorf("a server that knows that it was removed says: %q", stderr)
	}

	// Told to stop while it waits for the other servers of its cluster.
	code, stderr = runFake(func(ctx context.Context, _ raftcached.Config) (Node, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, stop)
	if code != 0 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "starting raftcached "+raftcached.Version) {
		t.Errorf("stopped while opening: exit code %d, stderr %q; want 0 and the line of the start", code, stderr)
	}

	code, _ = runFake(func(context.Context, raftcached.Config) (Node, error) { return nil, errors.New("port in use") }, nil)
	if code != 1 {
		t.Errorf("open fails: exit code %d, want 1", code)
	}
	code, _ = runFake(func(context.Context, raftcached.Config) (Node, error) { return nil, &raftcached.ConfigError{} }, nil)
	if code != 78 {
		t.Errorf("configuration refused: exit code %d, want 78", code)
	}
}
