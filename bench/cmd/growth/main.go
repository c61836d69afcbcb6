//go:build linux

// Command growth measures how rate and cost of gets and sets change with one thing at a time:
// items, connections, servers, the size of values, event loops. It prints a Markdown
// table for each.
//
//	go run ./bench/cmd/growth -only items,connections -duration 3s
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/bench/footprint"
	"raftcached/internal/cluster"
)

const (
	// startTimeout bounds the start of the servers of a row.
	startTimeout = time.Minute

	// keysOfLarge is how many keys there are of values that would not fit otherwise.
	keysOfLarge = 1000

	// fillBytesMax is how many bytes of values wait in a burst of all clients, divided by the
	// length of a burst.
	fillBytesMax = 1 << 20

	// memoryMiB is the servers' limit: enough for 10 million small items.
	memoryMiB = 3072
)

// step is one row of a table.
type step struct {
	name    string
	servers int
	loops   int // 0: the default
	w       bench.Workload
}

// curve is what grows, from step to step.
type curve struct {
	name, title string
	steps       []step
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := measurer{out: os.Stdout}
	flag.DurationVar(&m.duration, "duration", 3*time.Second, "length of a measurement")
	only := flag.String("only", "", "names of tables, separated by commas: "+names())
	dir := flag.String("dir", "", "folder for the servers' data (default: a temporary one)")
	flag.Parse()
	if err := m.run(ctx, *dir, *only); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func names() string {
	var all []string
	for _, c := range curves() {
		all = append(all, c.name)
	}
	return strings.Join(all, ",")
}

// curves are all tables.
func curves() []curve {
	with := func(change func(*bench.Workload)) bench.Workload {
		w := bench.DefaultWorkload
		change(&w)
		return w
	}
	items := curve{name: "items", title: "items, of 100 bytes, a lone server, 50 connections"}
	for _, n := range []int{10_000, 100_000, 1_000_000, 10_000_000} {
		items.steps = append(items.steps, step{fmt.Sprint(n), 1, 0, with(func(w *bench.Workload) { w.Keys = n })})
	}
	conns := curve{name: "connections", title: "connections, three servers"}
	for _, n := range []int{1, 10, 100, 1000, 4000} {
		conns.steps = append(conns.steps, step{fmt.Sprint(n), 3, 0, with(func(w *bench.Workload) { w.Conns = n })})
	}
	servers := curve{name: "servers", title: "servers, 50 connections"}
	for _, n := range []int{1, 3, 5} {
		servers.steps = append(servers.steps, step{fmt.Sprint(n), n, 0, bench.DefaultWorkload})
	}
	values := curve{name: "values", title: "bytes of a value, three servers, 50 connections"}
	for _, n := range []int{10, 100, 1000, 10_000, 100_000, 1_000_000} {
		values.steps = append(values.steps, step{fmt.Sprint(n), 3, 0, with(func(w *bench.Workload) { w.ValueBytes, w.Keys = n, keysOfLarge })})
	}
	loops := curve{name: "loops", title: "event loops, a lone server, 50 connections"}
	for _, n := range []int{1, 2, 4} {
		loops.steps = append(loops.steps, step{fmt.Sprint(n), 1, n, bench.DefaultWorkload})
	}
	return []curve{items, conns, servers, values, loops}
}

// measurer measures steps, each on servers of its own.
type measurer struct {
	out        io.Writer
	duration   time.Duration
	executable string
	work       string
}

func (m *measurer) run(ctx context.Context, dir, only string) (err error) {
	if m.work, err = os.MkdirTemp(dir, "growth"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(m.work) }() // leftovers do no harm
	if m.executable, err = cluster.Build(ctx, m.work, "./cmd/raftcached"); err != nil {
		return err
	}
	for _, c := range curves() {
		if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
			continue
		}
		_, err := fmt.Fprintf(m.out, "**%s**\n\n| %s | gets/s | CPU-µs | p99 µs | sets/s | CPU-µs | p99 µs | RSS MiB |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", c.title, c.name)
		if err != nil {
			return err
		}
		for i := range c.steps {
			if err := m.measure(ctx, &c.steps[i]); err != nil {
				return fmt.Errorf("measure %s %s: %w", c.name, c.steps[i].name, err)
			}
		}
		if _, err := fmt.Fprintln(m.out); err != nil {
			return err
		}
	}
	return nil
}

// measure starts servers, fills them, and prints what gets and sets cost.
func (m *measurer) measure(ctx context.Context, s *step) (err error) {
	dir, err := os.MkdirTemp(m.work, "step")
	if err != nil {
		return err
	}
	o := cluster.Options{
		Executable: m.executable, Dir: dir, Servers: s.servers,
		Settings: map[string]any{"memoryLimitMiB": memoryMiB}, Args: []string{"-c", "5000"},
	}
	if s.loops > 0 {
		o.Args = append(o.Args, "-t", fmt.Sprint(s.loops))
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
		_ = os.RemoveAll(dir) // leftovers do no harm
	}()
	if _, err := c.AwaitLeader(startCtx); err != nil {
		return err
	}
	t := bench.Target{Name: s.name}
	for _, server := range c.Servers {
		t.Addrs = append(t.Addrs, server.ClientAddr)
	}
	fill := s.w // in bursts, of which the servers refuse what has waited for too long
	fill.Conns = min(fill.Conns, max(1, fillBytesMax/s.w.ValueBytes))
	if err := bench.Fill(ctx, t, fill); err != nil {
		return err
	}
	var cells []string
	for _, gets := range []float64{1, 0} {
		cell, err := m.drive(ctx, c, t, s.w, gets)
		if err != nil {
			return err
		}
		cells = append(cells, cell)
	}
	rss, err := residentMiB(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(m.out, "| %s | %s | %s | %d |\n", s.name, cells[0], cells[1], rss)
	return err
}

// drive has clients ask for a while, and returns rate, cost and latency.
func (m *measurer) drive(ctx context.Context, c *cluster.Cluster, t bench.Target, w bench.Workload, gets float64) (string, error) {
	w.GetRatio = gets
	before, err := used(c)
	if err != nil {
		return "", err
	}
	r, err := bench.Measure(ctx, t, w, m.duration)
	if err != nil {
		return "", err
	}
	after, err := used(c)
	if err != nil {
		return "", err
	}
	if r.Errors > 0 {
		return "", fmt.Errorf("%d errors, the first %q", r.Errors, r.FirstError)
	}
	cost := float64((after - before).Nanoseconds()) / 1000 / float64(r.Ops)
	return fmt.Sprintf("%.0f | %.1f | %d", r.Rate(), cost, r.Latency().ValueAtQuantile(99)/1000), nil
}

// used returns the processor time that all servers have used.
func used(c *cluster.Cluster) (all time.Duration, err error) {
	for _, s := range c.Servers {
		t, err := footprint.ReadCPU(s.Process().Pid())
		if err != nil {
			return 0, err
		}
		all += t
	}
	return all, nil
}

// residentMiB returns the memory of the server that has most.
func residentMiB(c *cluster.Cluster) (most int64, err error) {
	for _, s := range c.Servers {
		m, err := footprint.ReadMemory(s.Process().Pid())
		if err != nil {
			return 0, err
		}
		most = max(most, m.Bytes>>20)
	}
	return most, nil
}
