package serve

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"raftcached"
)

// TestHangUpReloads: SIGHUP has the users read again, and a file that is no good
// is only told of.
func TestHangUpReloads(t *testing.T) {
	seen := make(chan os.Signal, 1) // keeps the signal from ending the tests
	signal.Notify(seen, syscall.SIGHUP)
	defer signal.Stop(seen)

	reloaded := make(chan struct{}, 1)
	node := &fakeNode{done: make(chan struct{}), reload: func() error {
		select {
		case reloaded <- struct{}{}:
		default:
		}
		return errors.New("authfile [users] has a malformed entry")
	}}
	stop, ended := make(chan struct{}), make(chan int)
	var stderr bytes.Buffer
	go func() {
		ended <- Main(Process{
			Args: []string{"-Y", "users"}, Stderr: &stderr, Stop: stop,
			Open: func(context.Context, raftcached.Config) (Node, error) { return node, nil },
		})
	}()
	for told := false; !told; { // it may not listen for the signal yet
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-seen
		select {
		case <-reloaded:
			told = true
		default:
		}
	}
	close(stop)
	if code := <-ended; code != exitStopped {
		t.Errorf("exit code %d, want %d", code, exitStopped)
	}
	if text := stderr.String(); !strings.Contains(text, "what cannot be read stays as it was") || !strings.Contains(text, "malformed") {
		t.Errorf("stderr is %q", text)
	}
}
