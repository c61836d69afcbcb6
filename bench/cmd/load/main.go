//go:build linux

// Command load drives running memcached servers in alternating rounds and prints a
// Markdown table. Ratios are relative to the first target.
//
//	go run ./bench/cmd/load -target memcached=127.0.0.1:11210 \
//	    -target raftcached=127.0.0.1:11211,127.0.0.1:11212,127.0.0.1:11213
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"raftcached/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var targets []bench.Target
	w := bench.DefaultWorkload
	flag.Func("target", "NAME=HOST:PORT,...; several times to compare", func(text string) error {
		name, addrs, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("write NAME=HOST:PORT")
		}
		targets = append(targets, bench.Target{Name: name, Addrs: strings.Split(addrs, ",")})
		return nil
	})
	flag.IntVar(&w.Conns, "conns", w.Conns, "connections to each target")
	flag.IntVar(&w.Depth, "depth", w.Depth, "requests in a burst")
	flag.Float64Var(&w.GetRatio, "gets", w.GetRatio, "share of gets")
	flag.IntVar(&w.Keys, "keys", w.Keys, "number of keys")
	flag.Float64Var(&w.Theta, "zipf", w.Theta, "skew of the keys; 0: uniform")
	flag.IntVar(&w.KeyBytes, "key-bytes", w.KeyBytes, "length of a key")
	flag.IntVar(&w.ValueBytes, "value-bytes", w.ValueBytes, "length of a value")
	flag.IntVar(&w.Threads, "threads", w.Threads, "threads of the generator")
	duration := flag.Duration("duration", 5*time.Second, "length of a round")
	rounds := flag.Int("rounds", 3, "rounds of each target")
	fill := flag.Bool("fill", true, "set every key before the first round")
	flag.Parse()
	if len(targets) == 0 {
		return errors.New("name a server with -target")
	}
	if err := w.Check(); err != nil {
		return err
	}
	for _, t := range targets {
		if *fill {
			if err := bench.Fill(ctx, t, w); err != nil {
				return err
			}
		}
	}
	name := fmt.Sprintf("%.0f %% get, depth %d, %d conns", 100*w.GetRatio, w.Depth, w.Conns)
	rows, err := bench.Compare(ctx, targets, name, w, *duration, *rounds)
	if err != nil {
		return err
	}
	return bench.WriteTable(os.Stdout, rows)
}
