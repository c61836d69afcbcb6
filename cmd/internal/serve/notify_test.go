package serve

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"raftcached"
)

// supervise listens as a supervisor does until the test ends, and returns what it is told.
func supervise(t *testing.T, watchdogMicros string) <-chan string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", watchdogMicros)
	t.Setenv("WATCHDOG_PID", "")
	states := make(chan string, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			states <- string(b[:n])
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return states
}

// TestSupervisor: it is told when the server serves, that it is alive as long as it is, and
// when it stops.
func TestSupervisor(t *testing.T) {
	states := supervise(t, "20000")
	var alive atomic.Int64 // how often it still is
	alive.Store(3)
	node := &fakeNode{done: make(chan struct{}), alive: func(context.Context) error {
		if alive.Add(-1) < 0 {
			return errors.New("event loop 1 does not answer")
		}
		return nil
	}}
	stop, ended := make(chan struct{}), make(chan string)
	go func() {
		_, stderr := runFake(func(context.Context, raftcached.Config) (Node, error) { return node, nil }, stop)
		ended <- stderr
	}()
	if got := <-states; !strings.HasPrefix(got, "READY=1\nSTATUS=serving clients at 127.0.0.1:40001,[::1]:40002, servers 0") {
		t.Errorf("told %q first", got)
	}
	for range 3 {
		if got := <-states; got != "WATCHDOG=1" {
			t.Errorf("told %q, want that it is alive", got)
		}
	}
	for alive.Load() > -3 { // it is asked and does not answer
		select {
		case got := <-states:
			t.Fatalf("told %q", got)
		default:
		}
	}
	close(stop)
	stderr := <-ended
	if got := <-states; got != "STOPPING=1\nSTATUS=stopping" {
		t.Errorf("told %q at the stop", got)
	}
	if !strings.Contains(stderr, "event loop 1 does not answer") {
		t.Errorf("the log does not say why: %s", stderr)
	}
}

// TestNoSupervisor: without one nothing is sent, and the node is not asked.
func TestNoSupervisor(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	stop := make(chan struct{})
	close(stop)
	node := &fakeNode{done: make(chan struct{}), alive: func(context.Context) error { t.Error("asked"); return nil }}
	if code, stderr := runFake(func(context.Context, raftcached.Config) (Node, error) { return node, nil }, stop); code != 0 || strings.Contains(stderr, "supervisor") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
