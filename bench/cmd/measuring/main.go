//go:build linux

// Command measuring measures what it costs a server to measure its requests: it runs the
// benchmarks of what is noted of a request, asks a lone server for gets and sets, 16 at a time,
// and prints a Markdown table of the share that the one has of the other. A second table
// compares that server with one that neither samples keys nor keeps slow commands, in turns.
//
//	go run ./bench/cmd/measuring -duration 3s -rounds 5
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"raftcached/bench"
	"raftcached/bench/footprint"
	"raftcached/internal/cluster"
)

const (
	startTimeout = time.Minute
	depth        = 16 // as in the benchmarks

	// shareMax is the share of a server's processor time that measuring may take.
	shareMax = 0.01
)

// kinds are what is asked for, and the unit in which its benchmark reports.
var kinds = []struct {
	name, unit string
	gets       float64
}{{"get", "ns/get", 1}, {"set", "ns/write", 0}}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	duration := flag.Duration("duration", 3*time.Second, "length of a round")
	rounds := flag.Int("rounds", 5, "rounds, of which the median counts")
	dir := flag.String("dir", "", "folder for the servers' data (default: a temporary one)")
	flag.Parse()
	if err := run(ctx, *dir, *duration, *rounds, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "measuring:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, duration time.Duration, rounds int, out io.Writer) (err error) {
	notes, err := benchmarks(ctx, rounds, duration)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "measuring")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers do no harm
	executable, err := cluster.Build(ctx, work, "./cmd/raftcached")
	if err != nil {
		return err
	}
	var servers []*cluster.Cluster
	defer func() {
		for _, c := range servers {
			err = errors.Join(err, c.Close())
		}
	}()
	for i, args := range [][]string{nil, {"-disable-hot-keys", "-slow-time", "0"}} {
		c, startErr := start(ctx, cluster.Options{Executable: executable, Dir: filepath.Join(work, strconv.Itoa(i)), Servers: 1, Args: args})
		if startErr != nil {
			return startErr
		}
		servers = append(servers, c)
	}
	if _, err = fmt.Fprintf(out, "| %d at a time | server's CPU, ns | of it what is noted, ns | share | wanted | without keys and slow commands, CPU ns | ratio |\n| --- | ---: | ---: | ---: | --- | ---: | ---: |\n", depth); err != nil {
		return err
	}
	for _, k := range kinds {
		var with, without []float64
		for range rounds {
			for i, all := range []*[]float64{&with, &without} {
				ns, err := cost(ctx, servers[i], k.gets, duration)
				if err != nil {
					return err
				}
				*all = append(*all, ns)
			}
		}
		a, b, noted := bench.Median(with), bench.Median(without), notes[k.unit]
		verdict := "yes"
		if noted/a >= shareMax {
			verdict = "NO"
		}
		if _, err = fmt.Fprintf(out, "| %s | %.0f | %.1f | %.2f %% | less than %.0f %%: %s | %.0f | %.3f |\n", k.name, a, noted, 100*noted/a, 100*shareMax, verdict, b, a/b); err != nil {
			return err
		}
	}
	return nil
}

// start starts a lone server and fills it.
func start(ctx context.Context, o cluster.Options) (*cluster.Cluster, error) {
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		return nil, err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := cluster.Start(startCtx, o)
	if err != nil {
		return nil, err
	}
	if err := bench.Fill(ctx, target(c), workload(1)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func target(c *cluster.Cluster) bench.Target {
	return bench.Target{Name: "a lone server", Addrs: c.ClientAddrs()}
}

func workload(gets float64) bench.Workload {
	w := bench.DefaultWorkload
	w.Depth, w.GetRatio = depth, gets
	return w
}

// cost is the processor time that a server takes for each request of a round, in ns.
func cost(ctx context.Context, c *cluster.Cluster, gets float64, d time.Duration) (float64, error) {
	pid := c.Servers[0].Process().Pid()
	before, err := footprint.ReadCPU(pid)
	if err != nil {
		return 0, err
	}
	r, err := bench.Measure(ctx, target(c), workload(gets), d)
	if err != nil {
		return 0, err
	}
	if r.Errors > 0 || r.Ops == 0 {
		return 0, fmt.Errorf("%d answers, %d errors, the first %q", r.Ops, r.Errors, r.FirstError)
	}
	after, err := footprint.ReadCPU(pid)
	return float64((after - before).Nanoseconds()) / float64(r.Ops), err
}

var reported = regexp.MustCompile(`([0-9.]+) (ns/(?:get|write))`)

// benchmarks returns what is noted of a request, in ns, by the benchmarks' units.
func benchmarks(ctx context.Context, rounds int, duration time.Duration) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "raftcached/protocol/server", "-run", "^$", "-bench", "^Benchmark(Write|Read)Timed$", "-count", strconv.Itoa(rounds), "-benchtime", duration.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("run the benchmarks: %w\n%s", err, out)
	}
	all := map[string][]float64{}
	for _, m := range reported.FindAllStringSubmatch(string(out), -1) {
		ns, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		all[m[2]] = append(all[m[2]], ns)
	}
	median := map[string]float64{}
	for _, k := range kinds {
		if len(all[k.unit]) == 0 {
			return nil, fmt.Errorf("no benchmark reports %s:\n%s", k.unit, out)
		}
		median[k.unit] = bench.Median(all[k.unit])
	}
	return median, nil
}
