//go:build linux

// Command reads measures linearizable reads: those of a lone server beside those at the
// leader and at each follower of a cluster of three without leases, and of one with
// leases, in alternating rounds; with -old also at one without leases of an older
// program. It prints a Markdown table with the CPU time that all servers of the target
// have used for each request, one of gets beside sets, and what sets wait for the holders
// of leases, and says of each figure whether it is what it should be.
//
//	go run ./bench/cmd/reads -old ./raftcached-before > bench/results/NAME.md
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

	// What is wanted of gets: under leases of the rate and of the CPU time of a lone
	// server, without leases of the rate of an older program.
	leasedRateMin, leasedCostMax, olderRateMin = 0.95, 1.05, 1.2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &comparison{keys: bench.DefaultWorkload.Keys}
	flag.DurationVar(&b.duration, "duration", 2*time.Second, "length of a round")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds of each target")
	leases := flag.String("leases", "off,all", "settings of leases to measure, separated by commas")
	flag.StringVar(&b.only, "only", "", "measure only the workloads whose names contain this")
	flag.StringVar(&b.old, "old", "", "an older raftcached, to be measured with leases off")
	dir := flag.String("dir", "", "folder for the servers' data (default: a temporary one)")
	flag.Parse()
	if err := b.run(ctx, *dir, strings.Split(*leases, ","), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reads:", err)
		os.Exit(1)
	}
}

func (b *comparison) run(ctx context.Context, dir string, leases []string, out io.Writer) error {
	work, err := os.MkdirTemp(dir, "reads")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers do no harm
	defer b.stop()
	if err := b.start(ctx, work, leases); err != nil {
		return err
	}
	if err := b.writeHead(out); err != nil {
		return err
	}
	err = b.each("gets", func(name string, w bench.Workload) error { return b.measure(ctx, out, name, w) })
	if err != nil {
		return err
	}
	if err := writeMixedHead(out); err != nil {
		return err
	}
	err = b.each("10 % sets", func(name string, w bench.Workload) error { return b.measureMixed(ctx, out, name, w) })
	if err != nil || !strings.Contains("sets beside holders", b.only) {
		return err
	}
	return b.measureHeld(ctx, out)
}

// each calls measure for each workload of a kind that is asked for.
func (b *comparison) each(kind string, measure func(name string, w bench.Workload) error) error {
	for _, conns := range []int{50, 200} {
		for _, depth := range []int{1, 16} {
			name := fmt.Sprintf("%s, %d conns, depth %d", kind, conns, depth)
			if !strings.Contains(name, b.only) {
				continue
			}
			w := bench.DefaultWorkload
			w.GetRatio, w.Conns, w.Depth, w.Keys = 1, conns, depth, b.keys
			if err := measure(name, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// comparison is the clusters and what is measured at them.
type comparison struct {
	duration time.Duration
	rounds   int
	keys     int
	only     string
	old      string // program; "": none
	clusters []*cluster.Cluster
	targets  []target
}

// target is a server that clients read at.
type target struct {
	bench.Target
	writes bench.Target // the leader
	pids   []int        // of its whole cluster
	leases string       // setting; "": a lone server, oldLeases: of an older program
	server int          // 0: the leader
}

// leased reports whether the target answers gets by a lease.
func (t *target) leased() bool {
	return t.leases == "all" || t.leases == "leader" && t.server == 0
}

// oldLeases stands for an older program with leases off.
const oldLeases = "off, before"

// start starts a lone server and a cluster for each setting of leases, and fills them.
func (b *comparison) start(ctx context.Context, dir string, leases []string) error {
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	executable, err := cluster.Build(startCtx, dir, "./cmd/raftcached")
	if err != nil {
		return err
	}
	settings := append([]string{""}, leases...)
	if b.old != "" {
		settings = append(settings, oldLeases)
	}
	for i, setting := range settings {
		o := cluster.Options{
			Executable: executable, Dir: filepath.Join(dir, fmt.Sprint(i)), Servers: 3,
			Settings: map[string]any{"memoryLimitMiB": memoryMiB, "leases": setting},
		}
		switch setting {
		case "":
			o.Servers = 1
			delete(o.Settings, "leases")
		case oldLeases:
			o.Executable, o.Settings["leases"] = b.old, "off"
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
		w := bench.DefaultWorkload
		w.Keys = b.keys
		if err := bench.Fill(ctx, all, w); err != nil {
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
	at := bench.Target{Name: name, Addrs: []string{leader.ClientAddr}}
	b.targets = append(b.targets, target{at, at, pids, leases, 0})
	follower := 0
	for _, s := range c.Servers {
		if s != leader {
			name := fmt.Sprintf("leases %s, follower %d", leases, s.ID)
			follower++
			b.targets = append(b.targets, target{bench.Target{Name: name, Addrs: []string{s.ClientAddr}}, at, pids, leases, follower})
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
		rate, cost := ratios(rounds, alone)
		verdict := b.verdict(i, results, rate, cost)
		if _, err := fmt.Fprintf(out, "| %s | %s | %.0f | %.2f | %.1f | %.2f | %.0f | %.0f | %.0f | %s |\n", name, b.targets[i].Name,
			of(func(r round) float64 { return r.rate }), rate, of(func(r round) float64 { return r.cpuUs }), cost,
			of(func(r round) float64 { return r.p50Us }), of(func(r round) float64 { return r.p99Us }),
			of(func(r round) float64 { return r.errors }), verdict); err != nil {
			return err
		}
	}
	return nil
}

// ratios returns the medians of the ratios of rates, and of CPU times, in the same
// rounds.
func ratios(rounds, base []round) (rate, cost float64) {
	rates, costs := make([]float64, len(rounds)), make([]float64, len(rounds))
	for k, r := range rounds {
		rates[k], costs[k] = r.rate/base[k].rate, r.cpuUs/base[k].cpuUs
	}
	return median(rates), median(costs)
}

// verdict says whether a target's gets are as fast as they should be, or "-" where
// nothing is asked of them. rate and cost are its ratios to the lone server.
func (b *comparison) verdict(i int, results [][]round, rate, cost float64) string {
	t := &b.targets[i]
	switch leased := t.leased(); {
	case leased && rate >= leasedRateMin && cost <= leasedCostMax:
		return "met"
	case leased:
		return fmt.Sprintf("missed: at least %.2f, CPU at most %.2f", leasedRateMin, leasedCostMax)
	case t.leases != "off":
		return "-"
	}
	before := slices.IndexFunc(b.targets, func(o target) bool { return o.leases == oldLeases && o.server == t.server })
	if before < 0 {
		return "-"
	}
	gain, saving := ratios(results[i], results[before])
	word := "met"
	if gain < olderRateMin {
		word = "missed"
	}
	return fmt.Sprintf("%s: %.2f of before, CPU %.2f", word, gain, saving)
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
		"rounds. CPU is that of all servers of the cluster, for each request.\n\n"+
		"| workload | target | requests/s | ratio | CPU µs | ratio | p50 µs | p99 µs | errors | verdict |\n"+
		"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
		time.Now().UTC().Format("2006-01-02"), strings.Join(os.Args[1:], " "),
		runtime.NumCPU(), runtime.Version(), b.keys, w.KeyBytes, w.Theta, w.ValueBytes, b.rounds, b.duration)
	return err
}

// writeMixedHead writes the head of the table of gets beside sets.
func writeMixedHead(out io.Writer) error {
	_, err := fmt.Fprintf(out, "\nGets as fast as they are answered, and sets at the leader on %d connections of their own, as many at a time, a tenth of all\n"+
		"requests if so many can be done. The ratios are to the gets of the lone server beside the same sets of the cluster, with what they leave of the\n"+
		"processors. The 99th percentile is that of %.0f %% of these gets, paced; its last ratio is to the same gets without sets.\n\n"+
		"| workload | target | gets/s | sets/s | ratio | p99 µs | ratio | without sets | verdict |\n"+
		"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n", setConns, 100*pacedShare)
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
