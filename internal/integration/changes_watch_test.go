package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/cluster"
)

// members returns the newest members that any server has told.
func (r *memberRun) members() []admin.MemberInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.c.Servers {
		if list, err := r.client.Members(r.ctx, s.AdminAddr); err == nil && (r.newest == nil || list.Version >= r.newest.Version) {
			r.newest = list
		}
	}
	if r.newest == nil {
		return nil // it is the beginning, and nobody runs
	}
	return r.newest.Members
}

// moment kills whom the step says, if this is the moment.
func (r *memberRun) moment(s *memberStep, when string) {
	k := s.kill
	if k == nil || k.when != when {
		return
	}
	s.kill = nil // once
	r.kills.Go(func() {
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(k.after):
		}
		id := r.victim(s, k)
		r.t.Logf("kill -9 of server %d, %s", id, k.who)
		if err := r.servers.kill(id, k.down); err != nil {
			r.t.Error(err)
		}
	})
}

// victim returns whom a kill is for.
func (r *memberRun) victim(s *memberStep, k *memberKill) int {
	switch k.who {
	case planSubject:
		return s.server
	case planServer:
		return s.asked
	}
	leader := -1
	for _, server := range r.c.Servers {
		if !server.Running() {
			continue
		}
		if stats, err := cluster.AskRaftStats(r.ctx, server.ClientAddr); err == nil && stats.State == "leader" {
			leader = server.ID
		}
	}
	if k.who == planLeader {
		return leader
	}
	var bystanders []int
	for _, server := range r.c.Servers {
		if id := server.ID; server.Running() && id != leader && id != s.server && id != s.asked {
			bystanders = append(bystanders, id)
		}
	}
	if len(bystanders) == 0 {
		return leader
	}
	return bystanders[k.pick%len(bystanders)]
}

// await waits for something, unless a fault is found meanwhile.
func (r *memberRun) await(ctx context.Context, f func() error) error {
	var fault error
	return errors.Join(cluster.Await(ctx, func() error {
		if fault = errors.Join(r.servers.fault()...); fault != nil {
			return nil
		}
		return f()
	}), fault)
}

// awaitExpected waits until each member serves, and knows the members that there should
// be, all with a vote.
func (r *memberRun) awaitExpected() error {
	ids := slices.Sorted(slices.Values(r.plan.expected))
	ctx, cancel := context.WithTimeout(r.ctx, changeMax)
	defer cancel()
	for _, id := range ids {
		if err := r.await(ctx, func() error {
			if !r.c.Servers[id].Running() { // until the supervisor starts it
				return fmt.Errorf("server %d is down", id)
			}
			return nil
		}); err != nil {
			return err
		}
		if err := r.c.AwaitServing(ctx, id); err != nil {
			return err
		}
		err := r.await(ctx, func() error {
			list, err := r.client.Members(ctx, r.c.Servers[id].AdminAddr)
			if err != nil {
				return err
			}
			var got []int
			for _, m := range list.Members {
				if m.Folder == "" || m.Learner != slices.Contains(r.plan.replicas, m.ID) || m.Retired {
					return fmt.Errorf("server %d has %+v", id, m)
				}
				got = append(got, m.ID)
			}
			if !slices.Equal(got, ids) {
				return fmt.Errorf("server %d has the members %v, want %v", id, got, ids)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func awaitClosed(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
