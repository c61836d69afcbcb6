//go:build linux

// Command failover measures how long a cluster accepts no writes after its leader
// was killed: from kill -9 to the first set that is stored through a surviving
// server. With -planned the leader gets SIGTERM while clients write through all
// servers: it measures how long writes through the others waited, and counts the
// requests that failed. With -holder a follower that holds a read lease is killed, or
// stopped, and what a set at the leader took at most is measured. It runs three real
// servers on this machine.
//
//	go run ./bench/cmd/failover -n 50
//	go run ./bench/cmd/failover -n 50 -planned
//	go run ./bench/cmd/failover -n 50 -holder kill
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"time"

	"raftcached/internal/cluster"
)

const (
	// startTimeout bounds the start of a server and its catching up.
	startTimeout = time.Minute

	// failoverTimeout is when a measurement fails.
	failoverTimeout = 30 * time.Second

	// retryPause is how long a client waits after an error before it tries again.
	retryPause = time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n := flag.Int("n", 50, "how often the leader is killed, or stopped")
	isPlanned := flag.Bool("planned", false, "stop the leader with SIGTERM, under load, instead of kill -9")
	holder := flag.String("holder", "", "kill, or stop, a follower that holds a read lease")
	leases := flag.String("leases", "off", "the setting of leases; with -holder it is all")
	verbose := flag.Bool("v", false, "print each time")
	flag.Parse()
	way, known := deathsOfHolders[*holder]
	if !known && *holder != "" {
		fmt.Fprintln(os.Stderr, "failover: -holder is kill or stop")
		os.Exit(2)
	}
	if known {
		*leases = "all"
	}
	if err := run(ctx, *n, *leases, *isPlanned, way, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, leases string, isPlanned bool, holder deathOfHolder, verbose bool) error {
	dir, err := os.MkdirTemp("", "failover")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system cleans its folder
	executable, err := cluster.Build(ctx, dir, "./cmd/raftcached")
	if err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := cluster.Start(startCtx, cluster.Options{
		Executable: executable, Dir: dir, Servers: 3, Settings: map[string]any{"leases": leases},
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // the processes end with this one anyway
	if holder.die != nil {
		return runHolders(ctx, c, n, holder, verbose)
	}
	if isPlanned {
		return runPlanned(ctx, c, n, verbose)
	}
	times := make([]time.Duration, 0, n)
	for i := range n {
		took, err := once(ctx, c, i)
		if err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
		times = append(times, took)
		if verbose {
			fmt.Println(took.Round(time.Millisecond))
		}
	}
	return report(os.Stdout, "kill -9 of the leader to the first stored set", times)
}

// runPlanned stops the leader n times.
func runPlanned(ctx context.Context, c *cluster.Cluster, n int, verbose bool) error {
	var p planned
	for i := range n {
		if err := p.once(ctx, c, i); err != nil {
			return fmt.Errorf("stop %d: %w", i+1, err)
		}
		if verbose {
			fmt.Println(p.waits[i].Round(time.Millisecond), "usually", p.usual[i].Round(time.Millisecond))
		}
	}
	return p.report(os.Stdout)
}

// report prints the median, the 99th percentile and the maximum.
func report(w io.Writer, what string, times []time.Duration) error {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	at := func(percent int) time.Duration {
		rank := (len(times)*percent + 99) / 100 // the nearest rank, rounded up
		return times[max(rank, 1)-1].Round(time.Millisecond)
	}
	_, err := fmt.Fprintf(w, "%s, %d times: median %v, p99 %v, max %v\n",
		what, len(times), at(50), at(99), at(100))
	return err
}

// once kills the leader, measures, and waits until all servers serve again.
func once(ctx context.Context, c *cluster.Cluster, round int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	leader, err := c.AwaitLeader(ctx)
	if err != nil {
		return 0, err
	}
	var survivors []string
	for _, s := range c.Servers {
		if s != leader {
			survivors = append(survivors, s.ClientAddr)
		}
	}
	if err := leader.Kill(); err != nil {
		return 0, err
	}
	took, err := firstSet(ctx, survivors, fmt.Sprintf("failover-%d", round))
	if err != nil {
		return 0, err
	}
	if err := leader.Start(); err != nil {
		return 0, err
	}
	if err := c.AwaitReady(ctx); err != nil {
		return 0, err
	}
	return took, c.AwaitEqual(ctx)
}

// firstSet lets one client at each server try to set a key, and returns the time
// until the first of them received STORED.
func firstSet(ctx context.Context, addrs []string, key string) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, failoverTimeout)
	defer cancel()
	stored := make(chan time.Duration, len(addrs))
	for _, addr := range addrs {
		go func() {
			if setUntilStored(ctx, addr, key) {
				stored <- time.Since(start)
			}
		}()
	}
	select {
	case took := <-stored:
		return took, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("no set was stored within %v", failoverTimeout)
	}
}

// setUntilStored reports whether a set was stored before the context ended.
func setUntilStored(ctx context.Context, addr, key string) bool {
	for ctx.Err() == nil {
		if err := setOnOneConnection(ctx, addr, key); err == nil {
			return true
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
	}
	return false
}

// setOnOneConnection tries on one connection until a set is stored or the
// connection fails.
func setOnOneConnection(ctx context.Context, addr, key string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer was read or does not matter
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	answers := bufio.NewReader(conn)
	for {
		if _, err := fmt.Fprintf(conn, "set %s 0 0 1\r\nx\r\n", key); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil || answer == "STORED\r\n" {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
