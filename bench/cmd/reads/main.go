//go:build linux

// Command reads measures linearizable reads: those of a lone server beside those at the
// leader and at each follower of a cluster of three without leases, and of one with
// leases, in alternating rounds. It prints a Markdown table with the CPU time that all
// servers of the target have used for each request.
//
//	go run ./bench/cmd/reads > bench/results/NAME.md
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/bench/footprint"
	"raftcached/internal/cluster"
)

const (
	// startTimeout bounds the start of all servers.
	startTimeout = time.Minute

	// memoryMiB is the memory of every server: enough that none evicts.
	memoryMiB = 256
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "reads:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	duration := flag.Duration("duration", 2*time.Second, "length of a round")
	rounds := flag.Int("rounds", 3, "rounds of each target")
	leases := flag.String("leases", "off,all", "settings of leases to measure, separated by commas")
	only := flag.String("only", "", "measure only the workloads whose names contain this")
	dir := flag.String("dir", "", "folder for the servers' data (default: a temporary one)")
	flag.Parse()
	work, err := os.MkdirTemp(*dir, "reads")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers do no harm
	b := &comparison{duration: *duration, rounds: *rounds}
	defer b.stop()
	if err := b.start(ctx, work, strings.Split(*leases, ",")); err != nil {
		return err
	}
	if err := b.writeHead(os.Stdout); err != nil {
		return err
	}
	for _, gets := range []float64{1, 0.9} {
		for _, conns := range []int{50, 200} {
			for _, depth := range []int{1, 16} {
				name := fmt.Sprintf("%.0f %% get, %d conns, depth %d", 100*gets, conns, depth)
				if !strings.Contains(name, *only) {
					continue
				}
				w := bench.DefaultWorkload
				w.GetRatio, w.Conns, w.Depth = gets, conns, depth
				if err := b.measure(ctx, os.Stdout, name, w); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// comparison is the clusters and what is measured at them.
type comparison struct {
	duration time.Duration
	rounds   int
	clusters []*cluster.Cluster
	targets  []target
}

// target is a server that clients read at.
type target struct {
	bench.Target
	pids []int // of its whole cluster
}

// start starts a lone server and a cluster for each setting of leases, and fills them.
func (b *comparison) start(ctx context.Context, dir string, leases []string) error {
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	executable, err := cluster.Build(startCtx, dir, "./cmd/raftcached")
	if err != nil {
		return err
	}
	for i, setting := range append([]string{""}, leases...) {
		o := cluster.Options{
			Executable: executable, Dir: filepath.Join(dir, fmt.Sprint(i)), Servers: 3,
			Settings: map[string]any{"memoryLimitMiB": memoryMiB, "leases": setting},
		}
		if setting == "" {
			o.Servers = 1
			delete(o.Settings, "leases")
		}
		if err := os.Mkdir(o.Dir, 0o755); err != nil {
			return err
		}
		c, err := cluster.Start(startCtx, o)
		if err != nil {
			return err
		}
		b.clusters = append(b.clusters, c)
		if err := b.add(startCtx, c, setting); err != nil {
			return err
		}
		all := bench.Target{Name: "leases " + setting, Addrs: c.ClientAddrs()}
		if err := bench.Fill(ctx, all, bench.DefaultWorkload); err != nil {
			return err
		}
	}
	return nil
}

// add adds the servers of a cluster to the targets, the leader first.
func (b *comparison) add(ctx context.Context, c *cluster.Cluster, leases string) error {
	leader, err := c.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	var pids []int
	for _, s := range c.Servers {
		pids = append(pids, s.Process().Pid())
	}
	name := "lone server"
	if leases != "" {
		name = "leases " + leases + ", leader"
	}
	b.targets = append(b.targets, target{bench.Target{Name: name, Addrs: []string{leader.ClientAddr}}, pids})
	for _, s := range c.Servers {
		if s != leader {
			name := fmt.Sprintf("leases %s, follower %d", leases, s.ID)
			b.targets = append(b.targets, target{bench.Target{Name: name, Addrs: []string{s.ClientAddr}}, pids})
		}
	}
	return nil
}

func (b *comparison) stop() {
	for _, c := range b.clusters {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "reads:", err)
		}
	}
}

// measure writes the rows of one workload.
func (b *comparison) measure(ctx context.Context, out io.Writer, name string, w bench.Workload) error {
	fmt.Fprintln(os.Stderr, "measuring", name)
	results := make([][]round, len(b.targets))
	for range b.rounds {
		w.Seed++
		for i := range b.targets {
			r, err := b.targets[i].measure(ctx, w, b.duration)
			if err != nil {
				return err
			}
			results[i] = append(results[i], r)
		}
	}
	for i, rounds := range results {
		alone := results[0]
		of := func(value func(round) float64) float64 {
			values := make([]float64, len(rounds))
			for k := range rounds {
				values[k] = value(rounds[k])
			}
			return median(values)
		}
		ratios, costs := make([]float64, len(rounds)), make([]float64, len(rounds))
		for k, r := range rounds {
			ratios[k], costs[k] = r.rate/alone[k].rate, r.cpuUs/alone[k].cpuUs
		}
		if _, err := fmt.Fprintf(out, "| %s | %s | %.0f | %.2f | %.1f | %.2f | %.0f | %.0f | %.0f |\n", name, b.targets[i].Name,
			of(func(r round) float64 { return r.rate }), median(ratios), of(func(r round) float64 { return r.cpuUs }), median(costs),
			of(func(r round) float64 { return r.p50Us }), of(func(r round) float64 { return r.p99Us }),
			of(func(r round) float64 { return r.errors })); err != nil {
			return err
		}
	}
	return nil
}

// round is what one round has measured. Latencies are of gets.
type round struct{ rate, cpuUs, p50Us, p99Us, errors float64 }

func (t *target) measure(ctx context.Context, w bench.Workload, d time.Duration) (round, error) {
	before, err := t.cpu()
	if err != nil {
		return round{}, err
	}
	result, err := bench.Measure(ctx, t.Target, w, d)
	if err != nil {
		return round{}, err
	}
	after, err := t.cpu()
	if err != nil {
		return round{}, err
	}
	us := func(percent float64) float64 { return float64(result.Gets.ValueAtPercentile(percent)) / 1e3 }
	return round{
		rate: result.Rate(), cpuUs: float64((after - before).Microseconds()) / float64(max(1, result.Ops)),
		p50Us: us(50), p99Us: us(99), errors: float64(result.Errors),
	}, nil
}

// cpu is the CPU time that all servers of the target's cluster have used.
func (t *target) cpu() (sum time.Duration, err error) {
	for _, pid := range t.pids {
		used, err := footprint.ReadCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// writeHead writes what was measured, where and how, and the head of the table.
func (b *comparison) writeHead(out io.Writer) error {
	w := bench.DefaultWorkload
	_, err := fmt.Fprintf(out, "# Linearizable reads, %s\n\n    go run ./bench/cmd/reads %s\n\n"+
		"%d cores, shared by the servers and the generator; %s. %d keys of %d bytes, zipf %.2f, values of %d bytes;\n"+
		"%d rounds of %v each, in turn. Ratios are to the lone server in the same round; all values are medians of the\n"+
		"rounds. CPU is that of all servers of the cluster, for each request. Latencies are of gets.\n\n"+
		"| workload | target | requests/s | ratio | CPU µs | ratio | p50 µs | p99 µs | errors |\n"+
		"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
		time.Now().UTC().Format("2006-01-02"), strings.Join(os.Args[1:], " "),
		runtime.NumCPU(), runtime.Version(), w.Keys, w.KeyBytes, w.Theta, w.ValueBytes, b.rounds, b.duration)
	return err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
