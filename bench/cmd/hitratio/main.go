// Command hitratio measures how many gets miss, and prints a Markdown table. It sends
// the same requests to memcached, to a raftcached cluster of three, to simulated
// replicas of its engine, to an ideal LRU and to the offline optimum, each with the
// same memory.
//
//	go run ./bench/cmd/hitratio > bench/results/NAME.md
//	go run ./bench/cmd/hitratio -quick -caches memcached,engine
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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/bench/hitratio"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hitratio:", err)
		os.Exit(1)
	}
}

// shares are the sizes of the caches: shares of what all popular keys need.
var shares = []float64{0.01, 0.1}

// memoryMiBMin is the least memory of a cache: memcached needs a few pages of
// 1 MiB to move between its lists.
const memoryMiBMin = 2

// config holds the flags.
type config struct {
	keys, warmUp, requests int
	batch                  int
	hintRounds             int
	items                  hitratio.Items
	seed                   uint64
	caches                 []string
	match                  string
	dir                    string
}

// quick holds the flags that -quick sets. It leaves out the slowest part: the
// simulated replicas miss as often as the cluster, within a thousandth.
var quick = map[string]string{
	"keys": "2200000", "warmup": "1200000", "requests": "1000000",
	"caches": strings.Join([]string{memcachedName, engineName, lruName, optimumName}, ","),
}

func readFlags() (config, error) {
	var c config
	flag.IntVar(&c.keys, "keys", 4_400_000, "popular keys of a trace")
	flag.IntVar(&c.warmUp, "warmup", 4_000_000, "requests at the beginning that do not count")
	flag.IntVar(&c.requests, "requests", 6_000_000, "requests that count")
	flag.IntVar(&c.batch, "batch", 64, "gets that are sent to a node at a time")
	flag.IntVar(&c.hintRounds, "hint-rounds", 25, "rounds after which the engines learn of each other's reads: 25 are about 75 ms")
	flag.Uint64Var(&c.seed, "seed", 1, "of the traces")
	flag.StringVar(&c.match, "trace", "", "only the traces with this in their name")
	flag.StringVar(&c.dir, "dir", "", "folder for the servers' data (default: a temporary one)")
	value := flag.String("value", "100", `bytes of every value, or "mixed": 50 to 1000`)
	caches := flag.String("caches", strings.Join(cacheNames(), ","), "what is measured")
	isQuick := flag.Bool("quick", false, "a smaller run without the cluster, unless other flags say otherwise")
	flag.Parse()
	if *isQuick {
		if err := setUnlessGiven(quick); err != nil {
			return c, err
		}
	}
	c.items.ValueBytes = hitratio.Mixed
	if *value != "mixed" {
		var err error
		if c.items.ValueBytes, err = strconv.Atoi(*value); err != nil {
			return c, fmt.Errorf("read -value: %w", err)
		}
	}
	c.caches = strings.Split(*caches, ",")
	return c, c.check()
}

// setUnlessGiven sets the flags that the command line does not.
func setUnlessGiven(values map[string]string) error {
	flag.Visit(func(f *flag.Flag) { delete(values, f.Name) })
	for name, value := range values {
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("set -%s: %w", name, err)
		}
	}
	return nil
}

// batchMax keeps a batch below what a connection buffers.
const batchMax = 256

func (c config) check() error {
	for _, name := range c.caches {
		if !slices.Contains(cacheNames(), name) {
			return fmt.Errorf("unknown cache %q in -caches: want some of %s", name, strings.Join(cacheNames(), ","))
		}
	}
	switch {
	case c.batch < 1 || c.batch > batchMax:
		return fmt.Errorf("-batch is %d, want 1 to %d", c.batch, batchMax)
	case c.hintRounds < 1:
		return fmt.Errorf("-hint-rounds is %d, want at least 1", c.hintRounds)
	case c.keys < 1 || c.warmUp < 0 || c.requests < hitratio.Nodes*c.batch:
		return errors.New("-keys, -warmup or -requests is too small")
	case c.memoryMiB(shares[0]) < memoryMiBMin:
		return fmt.Errorf("%.0f %% of what %d keys need is less than %d MiB: give more -keys", 100*shares[0], c.keys, memoryMiBMin)
	}
	return c.items.Check()
}

// memoryMiB returns the memory of a cache: the share of what all popular keys
// need in memcached.
func (c config) memoryMiB(share float64) int {
	all := float64(c.keys) * float64(c.items.MeanBytes())
	return int(share*all/(1<<20) + 0.5)
}

func run(ctx context.Context) error {
	c, err := readFlags()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.dir, "hitratio")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // leftovers do no harm
	b, err := newBench(ctx, c, dir)
	if err != nil {
		return err
	}
	if err := writeHeader(os.Stdout, c, b.versions); err != nil {
		return err
	}
	table := &hitratio.Table{Caches: c.caches, Rival: memcachedName, Ours: []string{raftcachedName, engineName}}
	if err := table.WriteHeader(os.Stdout); err != nil {
		return err
	}
	for _, trace := range hitratio.Traces(c.keys, c.seed) {
		if !strings.Contains(trace.Name, c.match) {
			continue
		}
		run := hitratio.NewRun(trace.Generate(c.warmUp+c.requests), c.batch, c.warmUp)
		for _, share := range shares {
			row, err := b.measure(ctx, run, hitratio.Row{Trace: trace.Name, Share: share, MemoryMiB: c.memoryMiB(share)})
			if err != nil {
				return err
			}
			if err := table.WriteRow(os.Stdout, row); err != nil {
				return err
			}
		}
	}
	if err := table.WriteSummary(os.Stdout); err != nil {
		return err
	}
	return b.writeErrors(os.Stdout)
}

// writeHeader writes what was measured, where and how.
func writeHeader(w io.Writer, c config, versions []string) error {
	value := fmt.Sprintf("%d bytes", c.items.ValueBytes)
	if c.items.ValueBytes == hitratio.Mixed {
		value = "50 to 1000 bytes"
	}
	_, err := fmt.Fprintf(w, "# Gets that miss, %s\n\n"+
		"    %s\n\n"+
		"%s; %d cores, %s.\n"+
		"Look-aside: get, and set what missed. %d popular keys of %d bytes, values of %s; an item needs about %d bytes\n"+
		"in memcached, and a cache has that share of what all popular keys need. Rounds of %d batches of %d gets, batch i\n"+
		"at node i of a cluster; %d requests before those that count.\n\n",
		time.Now().UTC().Format("2006-01-02"),
		strings.TrimSpace("go run ./bench/cmd/hitratio "+strings.Join(os.Args[1:], " ")),
		strings.Join(versions, ", "), runtime.NumCPU(), runtime.Version(),
		c.keys, hitratio.KeyBytes, value, c.items.MeanBytes(), hitratio.Nodes, c.batch, c.warmUp)
	return err
}

// versionOf returns the output of a server's -V.
func versionOf(ctx context.Context, program string) (string, error) {
	version, err := exec.CommandContext(ctx, program, "-V").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	return strings.TrimSpace(string(version)), nil
}
