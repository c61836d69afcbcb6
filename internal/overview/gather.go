package overview

import (
	"context"
	"slices"
	"sync"
	"time"

	"raftcached/internal/admin"
)

// Reply is what asking an admin port has come to.
type Reply struct {
	Addr   string
	Status *admin.Status // nil: Err says why
	Err    error
}

// Asker asks the admin port at host:port. An admin.Client is one.
type Asker interface {
	Status(ctx context.Context, addr string) (*admin.Status, error)
}

// Gather asks the servers that are named, and then those that their answers name:
// each time all at once, so that a dead one costs one timeout.
func Gather(ctx context.Context, client Asker, timeout time.Duration, addrs []string) []Reply {
	replies := Ask(ctx, client, timeout, addrs)
	return append(replies, Ask(ctx, client, timeout, named(replies, addrs))...)
}

// named are the admin ports that answers name and that were not asked.
func named(replies []Reply, asked []string) (more []string) {
	for _, r := range replies {
		if r.Status == nil {
			continue
		}
		for _, m := range r.Status.Servers {
			known := slices.Contains(asked, m.AdminAddress) || slices.Contains(more, m.AdminAddress)
			answered := slices.ContainsFunc(replies, func(r Reply) bool { return r.Status != nil && r.Status.ID == m.ID })
			if m.AdminAddress != "" && !known && !answered {
				more = append(more, m.AdminAddress)
			}
		}
	}
	return more
}

// Ask asks all at once.
func Ask(ctx context.Context, client Asker, timeout time.Duration, addrs []string) []Reply {
	replies := make([]Reply, len(addrs))
	var asked sync.WaitGroup
	for i, addr := range addrs {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			status, err := client.Status(ctx, addr)
			replies[i] = Reply{addr, status, err}
		})
	}
	asked.Wait()
	return replies
}

// Best returns the answer that knows the most, or nil if there is none.
func Best(replies []Reply) (best *admin.Status) {
	for _, r := range replies {
		if s := r.Status; s != nil && (best == nil || s.Term > best.Term || s.Term == best.Term && s.Commit > best.Commit) {
			best = s
		}
	}
	return best
}
