package node

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestAlive: a node is alive once each of its loops has had a turn, and is not while an event
// loop has none.
func TestAlive(t *testing.T) {
	t.Parallel()
	n := openNode(t, loneConfig(t))
	before := n.replica.Turns()
	if err := n.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.replica.Turns() == before {
		t.Error("the raft loop has had no turn")
	}
	hangs, release := make(chan struct{}), make(chan struct{})
	n.loops[1].loop.Post(func() {
		close(hangs)
		<-release
	})
	<-hangs
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := n.Alive(ctx); err == nil || !strings.Contains(err.Error(), "event loop 1 does not answer") {
		t.Errorf("an event loop hangs: %v", err)
	}
	close(release)
	if err := n.Alive(t.Context()); err != nil {
		t.Error(err)
	}
}
