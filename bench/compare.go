//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/bench/zipf"
)

// fillDepth is the burst size while the cache is filled.
const fillDepth = 32

// fillTimeout bounds the filling of one target: 10 million items of 1 KiB at
// 3 MB/s. Fill reports it.
const fillTimeout = time.Hour

// Target is one cache: a server, or the servers of a cluster. Connections are
// distributed over them.
type Target struct {
	Name    string
	Addrs   []string // host:port each
	Dialect Dialect
}

// Dialect is how a target is spoken to.
type Dialect uint8

// The dialects.
const (
	Memcached Dialect = iota
	Redis             // SET and GET in RESP
	RedisWait         // the same, and a burst ends with WAIT 1, with whose reply it is answered
)

// Fill sets every key of the workload once.
func Fill(ctx context.Context, t Target, w Workload) error {
	var taken atomic.Int64
	w.Depth = fillDepth
	result, err := drive(ctx, t, w, fillTimeout, func(int) source {
		return &filling{requests: newRequests(w, t.Dialect), taken: &taken, keys: int64(w.Keys)}
	})
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d of %d sets failed, the first with %q", result.Errors, result.Ops, result.FirstError)
	}
	if err == nil && result.Ops < int64(w.Keys) {
		err = fmt.Errorf("%d of %d keys were set after %v", result.Ops, w.Keys, fillTimeout)
	}
	if err != nil {
		return fmt.Errorf("fill %s: %w", t.Name, err)
	}
	return nil
}

// Measure drives one target for the given time.
func Measure(ctx context.Context, t Target, w Workload, d time.Duration) (*Result, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	keys := zipf.New(w.Keys, w.Theta)
	result, err := drive(ctx, t, w, d, func(thread int) source {
		return &mixed{
			requests: newRequests(w, t.Dialect),
			random:   rand.New(rand.NewPCG(w.Seed, uint64(thread))),
			keys:     keys,
			getRatio: w.GetRatio,
		}
	})
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", t.Name, err)
	}
	return result, nil
}

// drive runs the threads of the generator against one target.
func drive(ctx context.Context, t Target, w Workload, d time.Duration, newSource func(thread int) source) (*Result, error) {
	threads := min(w.Threads, w.Conns)
	var answered lastAnswer
	loops := make([]*loop, threads)
	for i := range loops {
		l, err := newLoop(newSource(i), w.Depth, &answered)
		if err != nil {
			return nil, err
		}
		defer l.close()
		loops[i] = l
	}
	for i := range w.Conns {
		if err := loops[i%threads].connect(t.Addrs[i%len(t.Addrs)], t.Dialect); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	deadline := start.Add(d)
	answered.at.Store(start.UnixNano())
	if w.Rate > 0 {
		for i, l := range loops {
			if err := l.setRate(w.Rate/float64(threads), start, i, threads); err != nil {
				return nil, err
			}
			l.pace.gets = w.GetRatio >= 0.5
		}
	}
	errs := make([]error, threads)
	var wait sync.WaitGroup
	for i, l := range loops {
		wait.Go(func() { errs[i] = l.run(ctx, deadline) })
	}
	wait.Wait()
	total := newResult()
	for _, l := range loops {
		total.add(l.result)
		total.Elapsed = max(total.Elapsed, l.result.Elapsed)
	}
	return total, errors.Join(errs...)
}

// Row is the result of one target with one workload in all rounds.
type Row struct {
	Target   string
	Workload string
	Rates    []float64 // replies per second of each round
	Total    *Result   // of all rounds; Elapsed is their sum
	Ratio    float64   // median over the rounds of its rate to the first target's
}

// Rate returns the median rate of the rounds.
func (r Row) Rate() float64 { return Median(r.Rates) }

// Compare drives the targets in turn, rounds times, with one workload. The
// targets must have been filled.
func Compare(ctx context.Context, targets []Target, name string, w Workload, d time.Duration, rounds int) ([]Row, error) {
	rows := make([]Row, len(targets))
	for i, t := range targets {
		rows[i] = Row{Target: t.Name, Workload: name, Total: newResult()}
	}
	for round := range rounds {
		for i, t := range targets {
			w.Seed++
			result, err := Measure(ctx, t, w, d)
			if err != nil {
				return nil, fmt.Errorf("round %d: %w", round+1, err)
			}
			rows[i].Rates = append(rows[i].Rates, result.Rate())
			rows[i].Total.add(result)
			rows[i].Total.Elapsed += result.Elapsed
		}
	}
	for i := range rows {
		ratios := make([]float64, rounds)
		for round := range ratios {
			ratios[round] = rows[i].Rates[round] / rows[0].Rates[round]
		}
		rows[i].Ratio = Median(ratios)
	}
	return rows, nil
}

// Median returns the middle of values, 0 without any.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// WriteTable writes rows as one Markdown table.
func WriteTable(w io.Writer, rows []Row) error {
	_, err := io.WriteString(w, "| workload | target | ops/s | ratio | p50 µs | p99 µs | p99.9 µs | hits | errors |\n"+
		"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		latency := r.Total.Latency()
		micros := func(percent float64) int64 {
			return time.Duration(latency.ValueAtPercentile(percent)).Microseconds()
		}
		hits := "-"
		if gets := r.Total.Hits + r.Total.Misses; gets > 0 {
			hits = fmt.Sprintf("%.1f %%", 100*float64(r.Total.Hits)/float64(gets))
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s | %s | %.0f | %.2f | %d | %d | %d | %s | %d |\n", r.Workload, r.Target,
				r.Rate(), r.Ratio, micros(50), micros(99), micros(99.9), hits, r.Total.Errors)
		}
	}
	return err
}
