package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// AwaitReady waits until each server answers a get and knows a leader.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, s := range c.Servers {
		if err := s.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AwaitServing waits until the servers with these ids answer a get and know a
// leader.
func (c *Cluster) AwaitServing(ctx context.Context, ids ...int) error {
	for _, id := range ids {
		if err := c.Servers[id].AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// AwaitLeader waits until a running server reports that it leads, and returns it. If
// two do, because one does not know yet that its term is over, the newer term counts.
func (c *Cluster) AwaitLeader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := Await(ctx, func() error {
		var term uint64
		leader = nil
		for _, s := range c.Servers {
			if !s.Running() {
				continue
			}
			stats, err := AskRaftStats(ctx, s.ClientAddr)
			if err == nil && stats.State == "leader" && stats.Term > term {
				leader, term = s, stats.Term
			}
		}
		if leader == nil {
			return errors.New("no server leads")
		}
		return nil
	})
	return leader, err
}

// AwaitEqual waits until the servers with these ids, or all, have applied the same
// index, and returns an error at once if their states then differ.
func (c *Cluster) AwaitEqual(ctx context.Context, ids ...int) error {
	servers := c.Servers
	if len(ids) > 0 {
		servers = nil
		for _, id := range ids {
			servers = append(servers, c.Servers[id])
		}
	}
	var differ error
	err := Await(ctx, func() error {
		var first RaftStats
		for i, s := range servers {
			stats, err := AskRaftStats(ctx, s.ClientAddr)
			switch {
			case err != nil:
				return err
			case i == 0:
				first = stats
			case stats.Applied != first.Applied:
				return fmt.Errorf("servers %d and %d applied %d and %d", first.ID, stats.ID, first.Applied, stats.Applied)
			case stats.Digest != first.Digest:
				differ = fmt.Errorf("servers %d and %d differ at index %d: digests %s and %s",
					first.ID, stats.ID, stats.Applied, first.Digest, stats.Digest)
				return nil
			}
		}
		return nil
	})
	return errors.Join(differ, err)
}

// Await calls f until it succeeds or the context ends.
func Await(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		}
	}
}

// AwaitReady waits until the server answers a get and knows a leader. It returns
// an error at once, with the end of the log, if the process ends.
func (s *Server) AwaitReady(ctx context.Context) error {
	var ended error
	err := Await(ctx, func() error {
		if !s.Running() {
			ended = fmt.Errorf("server %d has ended: %s", s.ID, s.LogTail())
			return nil
		}
		stats, err := AskRaftStats(ctx, s.ClientAddr)
		if err != nil {
			return err
		}
		if stats.LeaderID < 0 {
			return fmt.Errorf("server %d knows no leader", s.ID)
		}
		answer, err := Ask(ctx, s.ClientAddr, "get ready")
		if err == nil && len(answer) == 1 && !strings.HasPrefix(answer[0], "VALUE ") {
			err = fmt.Errorf("get at server %d: %s", s.ID, answer[0])
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("await server %d: %w: %s", s.ID, err, s.LogTail())
	}
	return errors.Join(ended, err)
}
