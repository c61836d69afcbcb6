//go:build linux

// Command idle measures what servers cost that have nothing to do: it starts a lone
// server and a cluster of three, has nobody ask them anything, and prints a Markdown
// table of the processor time that each has used.
//
//	go run ./bench/cmd/idle -duration 30s
//	go run ./bench/cmd/idle -leases all -reads    leases are in use: one get each 200 ms at each server
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"raftcached/bench/footprint"
	"raftcached/internal/cluster"
)

const (
	// startTimeout bounds the start of all servers.
	startTimeout = time.Minute

	// settles is how long the servers are left alone before they are measured.
	settles = 5 * time.Second

	// readGap is the time between two gets of a server with -reads: a lease is held for a
	// second after one.
	readGap = 200 * time.Millisecond

	// shareMax is the share of a processor that a server may take.
	shareMax = 0.01
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	duration := flag.Duration("duration", 30*time.Second, "how long the servers of a row are measured")
	leases := flag.String("leases", "off", "the setting of leases")
	reads := flag.Bool("reads", false, "have each server asked for an item every 200 ms, so that leases are in use")
	dir := flag.String("dir", "", "folder for the servers' data (default: a temporary one)")
	flag.Parse()
	if err := run(ctx, *dir, *leases, *reads, *duration, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, leases string, reads bool, duration time.Duration, out io.Writer) error {
	work, err := os.MkdirTemp(dir, "idle")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers do no harm
	executable, err := cluster.Build(ctx, work, "./cmd/raftcached")
	if err != nil {
		return err
	}
	var rows strings.Builder
	fmt.Fprintf(&rows, "| server | %% of a processor, %v | wanted |\n| --- | ---: | --- |\n", duration)
	for _, n := range []int{1, 3} {
		o := cluster.Options{Executable: executable, Dir: filepath.Join(work, fmt.Sprint(n)), Servers: n}
		if n > 1 {
			o.Settings = map[string]any{"leases": leases}
		}
		if err := measure(ctx, &rows, o, reads, duration); err != nil {
			return err
		}
	}
	_, err = io.WriteString(out, rows.String())
	return err
}

// measure writes a row for each server of a cluster.
func measure(ctx context.Context, rows *strings.Builder, o cluster.Options, reads bool, duration time.Duration) (err error) {
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := cluster.Start(startCtx, o)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := c.Close(); err == nil {
			err = closeErr
		}
	}()
	leader, err := c.AwaitLeader(startCtx)
	if err != nil {
		return err
	}
	if reads {
		reading, end := context.WithCancel(ctx)
		defer end()
		for _, s := range c.Servers {
			go read(reading, s.ClientAddr)
		}
	}
	if err := leave(ctx, settles); err != nil {
		return err
	}
	began := time.Now()
	before, err := used(c)
	if err != nil {
		return err
	}
	if err := leave(ctx, duration); err != nil {
		return err
	}
	after, err := used(c)
	if err != nil {
		return err
	}
	took := time.Since(began)
	for i, s := range c.Servers {
		share := float64(after[i]-before[i]) / float64(took)
		verdict := fmt.Sprintf("under %.0f %%: reached", 100*shareMax)
		if share >= shareMax {
			verdict = fmt.Sprintf("under %.0f %%: missed", 100*shareMax)
		}
		fmt.Fprintf(rows, "| %s | %.2f | %s |\n", name(len(c.Servers), s == leader), 100*share, verdict)
	}
	return nil
}

// read asks a server for an item, again and again, until the context ends. The measurement
// shows it if the server does not answer: it has less to do.
func read(ctx context.Context, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		return
	}
	defer func() { _ = conn.Close() }() // nothing is expected any more
	answer := make([]byte, len("END\r\n"))
	for leave(ctx, readGap) == nil {
		if _, err = io.WriteString(conn, "get none\r\n"); err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "idle:", err)
			return
		}
	}
}

func name(servers int, leads bool) string {
	switch {
	case servers == 1:
		return "alone"
	case leads:
		return "leader of three"
	default:
		return "follower"
	}
}

// leave waits.
func leave(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// used returns the processor time that each server has used.
func used(c *cluster.Cluster) ([]time.Duration, error) {
	var all []time.Duration
	for _, s := range c.Servers {
		t, err := footprint.ReadCPU(s.Process().Pid())
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}
