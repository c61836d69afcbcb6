package ctl

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

// joining looks at a server that comes in.
type joining struct {
	id      int
	line    atomic.Pointer[string]
	replica bool   // it stays without a vote
	meaning string // for the cluster, at the end
}

func (j *joining) set(line string) { j.line.Store(&line) }

func (j *joining) text() string { return " 3/4 " + *j.line.Load() }

// run returns when the server has what it comes in for.
func (j *joining) run(ctx context.Context, c *ctl) error {
	tick := time.NewTicker(memberPause)
	defer tick.Stop()
	for {
		if replies, err := c.gather(ctx); err == nil && j.look(replies) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look reports whether the server has come in.
func (j *joining) look(replies []overview.Reply) (done bool) {
	best, v := overview.Best(replies), overview.New(replies, &overview.Starter{})
	i := slices.IndexFunc(best.Servers, func(m admin.Member) bool { return m.ID == j.id })
	if i < 0 {
		j.set(fmt.Sprintf("server %d is no member: somebody has removed it", j.id))
		return false
	}
	m, r := best.Servers[i], v.Servers[i]
	switch {
	case m.Awaited:
		j.set(fmt.Sprintf("waits for the data folder of server %d", j.id))
		return false
	case m.Learner && !m.Stays, r.State != admin.StateOK && r.State != overview.StateReachable:
		j.set("it joins without a vote: " + fetched(&r, best))
		return false
	}
	j.replica, j.meaning = m.Learner, v.Meaning
	return true
}

// fetched says how much of the items and of the log a server has.
func fetched(r *overview.Row, best *admin.Status) string {
	switch {
	case !r.Answered:
		return "it fetches the items (its admin port is not open here)"
	case r.Memory == nil:
		return r.State
	}
	return fmt.Sprintf("%s %s items, log -%d", bar(r.Memory.Bytes, best.Memory.Bytes), share(r.Memory.Bytes, best.Memory.Bytes), r.Lag)
}
