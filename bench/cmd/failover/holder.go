//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"raftcached/internal/cluster"
)

const (
	// holderReadPause is how often a client reads at each follower, which keeps its
	// lease alive.
	holderReadPause = 2 * time.Millisecond

	// aroundHolder is for how long sets are measured before a holder dies, and after.
	aroundHolder = 500 * time.Millisecond
)

// holders is what followers that died with a lease have shown.
type holders struct {
	way   deathOfHolder
	waits []time.Duration // of each time: the longest that a set at the leader took
	usual []time.Duration // the same before each time
}

// deathOfHolder is a way for a server to die, and to come back.
type deathOfHolder struct {
	what          string
	die, comeBack func(*cluster.Server) error
}

// deathsOfHolders are the values of -holder.
var deathsOfHolders = map[string]deathOfHolder{
	"kill": {"kill -9", (*cluster.Server).Kill, (*cluster.Server).Start},
	"stop": {"SIGSTOP", (*cluster.Server).Pause, (*cluster.Server).Resume},
}

// once has a follower that holds a read lease die while a client sets at the leader, and
// waits until all serve again.
func (h *holders) once(ctx context.Context, c *cluster.Cluster, round int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	leader, err := c.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	reading, stopReading := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stopReading()
	var victim *cluster.Server
	for i, s := range c.Servers {
		if s == leader {
			continue
		}
		readers.Go(func() { readAt(reading, s.ClientAddr) })
		if victim == nil || (i+round)%2 == 0 {
			victim = s
		}
	}
	usual, err := longestSet(leader.ClientAddr, aroundHolder, nil)
	if err != nil {
		return err
	}
	longest, err := longestSet(leader.ClientAddr, aroundHolder, func() error { return h.way.die(victim) })
	if err != nil {
		return err
	}
	h.usual, h.waits = append(h.usual, usual), append(h.waits, longest)
	stopReading()
	return errors.Join(h.way.comeBack(victim), c.AwaitReady(ctx), c.AwaitEqual(ctx))
}

// longestSet sets one time after the other for a while, does something in the middle of
// it, and returns how long the longest set took.
func longestSet(addr string, d time.Duration, do func() error) (longest time.Duration, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // all answers were read
	answers := bufio.NewReader(conn)
	for start := time.Now(); time.Since(start) < d; {
		if do != nil && time.Since(start) > d/4 {
			if err := do(); err != nil {
				return 0, err
			}
			do = nil
		}
		begun := time.Now()
		if _, err := io.WriteString(conn, "set holder 0 0 1\r\nx\r\n"); err != nil {
			return 0, err
		}
		answer, err := answers.ReadString('\n')
		if err != nil || answer != "STORED\r\n" {
			return 0, fmt.Errorf("set: %q, %w", answer, err)
		}
		longest = max(longest, time.Since(begun))
	}
	return longest, nil
}

// readAt reads at a server until the context ends or the server dies.
func readAt(ctx context.Context, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }() // its answers do not matter
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answers := bufio.NewReader(conn)
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, "mg none\r\n"); err != nil {
			return
		}
		if _, err := answers.ReadString('\n'); err != nil {
			return
		}
		select {
		case <-time.After(holderReadPause):
		case <-ctx.Done():
		}
	}
}

func runHolders(ctx context.Context, c *cluster.Cluster, n int, way deathOfHolder, verbose bool) error {
	h := holders{way: way}
	for i := range n {
		if err := h.once(ctx, c, i); err != nil {
			return fmt.Errorf("holder %d: %w", i+1, err)
		}
		if verbose {
			fmt.Println(h.waits[i].Round(time.Millisecond), "usually", h.usual[i].Round(time.Millisecond))
		}
	}
	if err := report(os.Stdout, "longest set within 500 ms before", h.usual); err != nil {
		return err
	}
	return report(os.Stdout, "longest set at the leader when a follower with a read lease gets "+way.what, h.waits)
}
