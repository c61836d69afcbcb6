//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/internal/cluster"
)

const (
	// writersPerServer is how many clients write through each server, each one
	// request after the other.
	writersPerServer = 4

	// aroundStop is for how long clients write before the stop begins, and after the
	// process has ended.
	aroundStop = 500 * time.Millisecond
)

// planned is what stops with SIGTERM have shown.
type planned struct {
	waits   []time.Duration // of each stop: the longest that a write through another server took
	usual   []time.Duration // the same before each stop
	retried int             // requests that failed, and succeeded at once on another server
	lost    []error         // those that failed there too
}

// once stops the leader with SIGTERM while clients write through all
// servers, and waits until all serve again.
func (p *planned) once(ctx context.Context, c *cluster.Cluster, round int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	leader, err := c.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	var (
		writers        sync.WaitGroup
		mu             sync.Mutex
		stopping, over atomic.Bool
		usual, longest atomic.Int64
	)
	for i := range writersPerServer * len(c.Servers) {
		server := i % len(c.Servers)
		w := cluster.NewWriter(c.ClientAddrs(), server)
		writers.Go(func() {
			defer w.Close()
			var lost []error
			for n := 0; !over.Load(); n++ {
				begun, planned := time.Now(), stopping.Load()
				if err := w.Set(fmt.Sprintf("planned-%d-%d", round, i), fmt.Sprint(n)); err != nil {
					lost = append(lost, err)
				}
				if server != leader.ID {
					most := &usual
					if planned || stopping.Load() {
						most = &longest
					}
					raise(most, int64(time.Since(begun)))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			p.retried += w.Retried
			p.lost = append(p.lost, lost...)
		})
	}
	err = pause(ctx, aroundStop)
	stopping.Store(true)
	err = errors.Join(err, leader.Stop(ctx), pause(ctx, aroundStop))
	over.Store(true)
	writers.Wait()
	if err != nil {
		return err
	}
	p.waits = append(p.waits, time.Duration(longest.Load()))
	p.usual = append(p.usual, time.Duration(usual.Load()))
	if err := leader.Start(); err != nil {
		return err
	}
	if err := c.AwaitReady(ctx); err != nil {
		return err
	}
	return c.AwaitEqual(ctx)
}

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for old := v.Load(); n > old && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// report prints how long writes waited, and what failed.
func (p *planned) report(w io.Writer) error {
	what := fmt.Sprintf("SIGTERM of the leader under load, %d clients: the longest write through the others", 3*writersPerServer)
	if err := report(w, what, p.waits); err != nil {
		return err
	}
	if err := report(w, "before each stop", p.usual); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "requests that failed: %d healed by one retry, %d not\n", p.retried, len(p.lost))
	for _, lost := range p.lost {
		_, writeErr := fmt.Fprintln(w, lost)
		err = errors.Join(err, writeErr)
	}
	return err
}
