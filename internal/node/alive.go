package node

import (
	"context"
	"fmt"
	"time"
)

// aliveGap is how often Alive looks whether the raft loop has had a turn. That has one at
// least every half an election timeout.
const aliveGap = 10 * time.Millisecond

// Alive returns nil when each event loop and the raft loop has had a turn since the call, or an
// error that says which has not when ctx ends. Whether there is a leader does not matter,
// nor whether the disk answers.
func (n *Node) Alive(ctx context.Context) error {
	turns := n.replica.Turns()
	for i, l := range n.loops[:n.cfg.Server.Loops] {
		turn := make(chan struct{})
		l.loop.Post(func() { close(turn) })
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("event loop %d does not answer: %w", i, ctx.Err())
		}
	}
	tick := time.NewTicker(aliveGap)
	defer tick.Stop()
	for n.replica.Turns() == turns {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the raft loop does not answer: %w", ctx.Err())
		}
	}
	return nil
}
