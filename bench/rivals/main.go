//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == childWord {
		err = runChild(os.Args[2:])
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = compare(ctx)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rivals:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context) (err error) {
	r := runner{}
	flag.DurationVar(&r.duration, "duration", 5*time.Second, "length of a round")
	flag.IntVar(&r.rounds, "rounds", 5, "rounds of each target")
	flag.Float64Var(&r.rate, "rate", 0, "sets a second of the row open; 0: half of raftcached's highest")
	names := flag.String("rows", "", "names of rows, separated by commas; all by default: "+rowNames())
	rivals := flag.String("rivals", "", "rivals whose names begin so, separated by commas; all by default: "+rivalNames())
	redis := flag.String("redis", "redis-server", "path of redis-server 7")
	memcachedPath := flag.String("memcached", "", "path of memcached (default: TEST_RAFTCACHED_MEMCACHED, or the one in PATH)")
	parent := flag.String("dir", "", "folder for the servers' data; it decides which disk is measured (default: a temporary one)")
	page := flag.String("html", "", "file for a page with charts")
	flag.Parse()
	if r.duration <= 0 || r.rounds < 1 || r.rate < 0 {
		return fmt.Errorf("check flags: %d rounds of %v, %v sets a second", r.rounds, r.duration, r.rate)
	}
	chosen, err := choose(split(*names), split(*rivals))
	if err != nil {
		return err
	}
	if *memcachedPath != "" {
		if err := os.Setenv("TEST_RAFTCACHED_MEMCACHED", *memcachedPath); err != nil {
			return err
		}
	}
	if r.launcher.dir, err = os.MkdirTemp(*parent, "rivals"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.launcher.dir) }() // leftovers do no harm
	if r.launcher.programs, err = findPrograms(ctx, r.launcher.dir, *redis); err != nil {
		return err
	}
	rep := report{At: time.Now().UTC(), Rounds: r.rounds, Duration: r.duration, Versions: versions(ctx, r.launcher.programs)}
	for _, row := range chosen {
		fmt.Fprintln(os.Stderr, "rivals: measuring", row.name)
		o, err := r.measureRow(ctx, row)
		if err != nil {
			return err
		}
		rep.add(o)
	}
	if err := rep.writeMarkdown(os.Stdout); err != nil || *page == "" {
		return err
	}
	return rep.writePage(*page)
}

// split returns the words between commas.
func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func rowNames() string {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return strings.Join(names, ", ")
}

func rivalNames() string {
	var names []string
	for _, e := range explanations[1:] {
		names = append(names, e[0])
	}
	return strings.Join(names, ", ")
}
