//go:build linux

// Command memory measures the memory and the garbage collection of real server
// processes, and prints Markdown tables:
//
//   - items: resident memory (RSS) for each item, of memcached and of raftcached;
//   - bound: how far RSS exceeds the limit under loads that are hard on memory;
//   - gc: what Go's garbage collector costs a lone raftcached under load.
//
// A full run takes more than an hour, 18 GiB of memory and 50 GiB of disk. A run
// with smaller numbers prints what it needs before it begins:
//
//	go run ./bench/cmd/memory -items 1000000 -limits 64 -duration 10s -gc-items 1000000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := readFlags(os.Args[1:])
	if err == nil {
		err = run(ctx, c, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

// The parts.
const (
	itemsPart = "items"
	boundPart = "bound"
	gcPart    = "gc"
)

func partNames() []string { return []string{itemsPart, boundPart, gcPart} }

// config holds the flags.
type config struct {
	args  []string // the flags themselves
	parts []string
	dir   string

	items, values []int // of each row
	nodes         []int // servers of the raftcached clusters
	conns, depth  int
	quiet         time.Duration // RSS of raftcached must be the same for so long

	limitsMiB   []int
	duration    time.Duration // of a load when the cache is full
	fillTimeout time.Duration

	gcItems    int
	gcDuration time.Duration
}

func readFlags(args []string) (config, error) {
	c := config{args: args}
	flags := flag.NewFlagSet("memory", flag.ContinueOnError)
	parts := flags.String("parts", strings.Join(partNames(), ","), "what is measured")
	flags.StringVar(&c.dir, "dir", "", "folder for the servers' data (default: a temporary one)")
	items := flags.String("items", "1000000,10000000", "items: numbers of items")
	values := flags.String("values", "100,1024", "items: bytes of their values")
	nodes := flags.String("nodes", "1", `items: servers of a raftcached cluster; "1,3" measures both`)
	flags.IntVar(&c.conns, "conns", 50, "connections")
	flags.IntVar(&c.depth, "depth", 16, "requests that a connection sends at a time; items are loaded 32 at a time")
	flags.DurationVar(&c.quiet, "quiet", 150*time.Second,
		"items: RSS of raftcached has settled if it is the same for so long; Go collects an idle heap after 120 s")
	limits := flags.String("limits", "64,256,1024", "bound: memory limits in MiB")
	flags.DurationVar(&c.duration, "duration", time.Minute, "bound: length of each load, once the cache is full")
	flags.DurationVar(&c.fillTimeout, "fill-timeout", 10*time.Minute, "bound: a load that does not fill the cache begins then")
	flags.IntVar(&c.gcItems, "gc-items", 10_000_000, "gc: items, with values of 100 bytes")
	flags.DurationVar(&c.gcDuration, "gc-duration", time.Minute, "gc: length of the load")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.parts = strings.Split(*parts, ",")
	var errs [4]error
	c.items, errs[0] = readNumbers("items", *items)
	c.values, errs[1] = readNumbers("values", *values)
	c.nodes, errs[2] = readNumbers("nodes", *nodes)
	c.limitsMiB, errs[3] = readNumbers("limits", *limits)
	return c, errors.Join(append(errs[:], c.check())...)
}

// readNumbers reads a list of positive numbers.
func readNumbers(name, list string) ([]int, error) {
	var numbers []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-%s is %q, want positive numbers with commas between", name, list)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (c config) check() error {
	for _, part := range c.parts {
		if !slices.Contains(partNames(), part) {
			return fmt.Errorf("unknown part %q in -parts: want some of %s", part, strings.Join(partNames(), ","))
		}
	}
	switch {
	case c.conns < 1 || c.depth < 1 || c.gcItems < 1:
		return errors.New("-conns, -depth and -gc-items must be 1 or more")
	case c.quiet <= 0 || c.duration <= 0 || c.fillTimeout <= 0 || c.gcDuration <= 0:
		return errors.New("-quiet, -duration, -fill-timeout and -gc-duration must be more than 0")
	}
	return nil
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(c.dir, "memory")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := newBench(ctx, c, dir)
	if err != nil {
		return err
	}
	b.writeNeeds(os.Stderr)
	if err := writeHeader(out, c, b.versions); err != nil {
		return err
	}
	for _, part := range c.parts {
		switch part {
		case itemsPart:
			err = b.items(ctx, out)
		case boundPart:
			err = b.bounds(ctx, out)
		default: // gcPart; config.check allows nothing else
			err = b.gc(ctx, out)
		}
		if err != nil {
			return fmt.Errorf("measure %s: %w", part, err)
		}
	}
	return nil
}

// writeHeader writes what was measured, where and how.
func writeHeader(w io.Writer, c config, versions []string) error {
	_, err := fmt.Fprintf(w, "# Memory, %s\n\n"+
		"    %s\n\n"+
		"%s; %d cores, %s. Keys of %d bytes, but for the loads of bound: 16. MiB are 2^20 bytes.\n",
		time.Now().UTC().Format("2006-01-02"),
		strings.TrimSpace("go run ./bench/cmd/memory "+strings.Join(c.args, " ")),
		strings.Join(versions, ", "), runtime.NumCPU(), runtime.Version(), keyBytes)
	return err
}

// writeNeeds writes what a run needs.
func (b *bench) writeNeeds(w io.Writer) {
	var stateMiB, nodes int
	if slices.Contains(b.parts, itemsPart) {
		stateMiB, nodes = memoryMiB(slices.Max(b.config.items), slices.Max(b.values)), slices.Max(b.nodes)
	}
	if slices.Contains(b.parts, boundPart) {
		stateMiB, nodes = max(stateMiB, slices.Max(b.limitsMiB)), max(nodes, 1)
	}
	if slices.Contains(b.parts, gcPart) {
		stateMiB, nodes = max(stateMiB, memoryMiB(b.gcItems, gcValueBytes)), max(nodes, 1)
	}
	_, _ = fmt.Fprintf(w, "memory: needs up to %d MiB of memory and %d MiB of disk in %s: log and snapshots are up to four times the items\n",
		nodes*(stateMiB+heapMiB), nodes*(4*stateMiB+logRetainMiB), b.dir) // advice only
}

// say reports progress on standard error.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s memory: %s\n", time.Now().UTC().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
