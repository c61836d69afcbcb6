//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"raftcached/bench"
	"raftcached/bench/zipf"
)

// latencyMax is the highest latency that is told from higher ones.
const latencyMax = time.Minute

// setter sets one key and returns when that is durable. It is called from one goroutine.
type setter func(ctx context.Context, key string, value []byte) error

// Measured is what one round of one target gave. It crosses the border of a child
// process.
type Measured struct {
	Ops            int64 // answers
	Elapsed        time.Duration
	P50, P99, P999 time.Duration
	Gap            time.Duration // longest time without an answer to anybody
	Errors         int64
	FirstError     string
	Unanswered     int64 // with a rate: due in the round and not answered in it
}

// measuredOf returns the result of package bench's generator.
func measuredOf(r *bench.Result) Measured {
	m := Measured{
		Ops: r.Ops, Elapsed: r.Elapsed, Gap: r.Gap,
		Errors: r.Errors, FirstError: r.FirstError, Unanswered: r.Unanswered,
	}
	m.setLatencies(r.Latency())
	return m
}

func (m *Measured) setLatencies(h *hdrhistogram.Histogram) {
	at := func(percent float64) time.Duration { return time.Duration(h.ValueAtPercentile(percent)) }
	m.P50, m.P99, m.P999 = at(50), at(99), at(99.9)
}

// worker is one client of drive.
type worker struct {
	set     setter
	random  *rand.Rand
	latency *hdrhistogram.Histogram

	ops, errors, unanswered int64
	firstError              error
	gap                     time.Duration
}

// run is what the workers of a round share.
type run struct {
	w               bench.Workload
	keys            *zipf.Distribution
	value           []byte
	start, deadline time.Time
	answered        atomic.Int64 // when the last answer came, in nanoseconds since start
	taken           atomic.Int64 // with a rate: how many requests workers have taken
}

// drive lets each setter be one client, closed loop or at the workload's rate, as
// package bench's generator does it. It only sets, one at a time.
func drive(ctx context.Context, setters []setter, w bench.Workload, d time.Duration) (Measured, error) {
	if w.GetRatio != 0 || w.Depth != 1 {
		return Measured{}, fmt.Errorf("drive clients: depth %d and %v gets, but they only set, one at a time", w.Depth, w.GetRatio)
	}
	r := &run{w: w, keys: zipf.New(w.Keys, w.Theta), value: slices.Repeat([]byte("a"), w.ValueBytes), start: time.Now()}
	r.deadline = r.start.Add(d)
	workers := make([]*worker, len(setters))
	var wait sync.WaitGroup
	for i, set := range setters {
		c := &worker{
			set: set, random: rand.New(rand.NewPCG(w.Seed, uint64(i))),
			latency: hdrhistogram.New(int64(time.Microsecond), int64(latencyMax), 3),
		}
		workers[i] = c
		wait.Go(func() { c.work(ctx, r) })
	}
	wait.Wait()
	return r.sum(workers), ctx.Err()
}

// work sends requests until the deadline.
func (c *worker) work(ctx context.Context, r *run) {
	for ctx.Err() == nil {
		due, ok := r.next()
		if !ok {
			return
		}
		err := c.set(ctx, r.key(r.keys.Next(c.random)), r.value)
		now := time.Now()
		if now.After(r.deadline) {
			if r.w.Rate > 0 {
				c.unanswered++
				c.count(r.deadline.Sub(due))
			}
			return
		}
		since := int64(now.Sub(r.start))
		c.gap = max(c.gap, time.Duration(since-r.answered.Swap(since)))
		c.ops++
		c.count(now.Sub(due))
		if err != nil {
			c.errors++
			c.firstError = cmp.Or(c.firstError, err)
		}
	}
}

func (c *worker) count(latency time.Duration) {
	_ = c.latency.RecordValue(int64(min(latency, latencyMax))) // it is in the range
}

// next waits until a request is due, and reports false if none is before the deadline.
func (r *run) next() (due time.Time, ok bool) {
	if r.w.Rate == 0 {
		now := time.Now()
		return now, now.Before(r.deadline)
	}
	due = r.start.Add(time.Duration(float64(r.taken.Add(1)-1) / r.w.Rate * float64(time.Second)))
	if !due.Before(r.deadline) {
		return due, false
	}
	time.Sleep(time.Until(due))
	return due, true
}

// key returns the key of a number in the form that package bench uses.
func (r *run) key(n int) string { return fmt.Sprintf("k%0*d", r.w.KeyBytes-1, n) }

// sum sums up the workers. With a rate, requests that were due and that no worker was
// free to take count as far as they waited.
func (r *run) sum(workers []*worker) Measured {
	m := Measured{Elapsed: r.deadline.Sub(r.start)}
	all := workers[0].latency
	var first error
	for i, c := range workers {
		m.Ops += c.ops
		m.Errors += c.errors
		m.Unanswered += c.unanswered
		m.Gap = max(m.Gap, c.gap)
		first = cmp.Or(first, c.firstError)
		if i > 0 {
			all.Merge(c.latency)
		}
	}
	if first != nil {
		m.FirstError = first.Error()
	}
	m.Gap = max(m.Gap, r.deadline.Sub(r.start)-time.Duration(r.answered.Load()))
	if r.w.Rate > 0 {
		for {
			due, ok := r.nextUntaken()
			if !ok {
				break
			}
			m.Unanswered++
			_ = all.RecordValue(int64(min(r.deadline.Sub(due), latencyMax))) // it is in the range
		}
	}
	m.setLatencies(all)
	return m
}

// nextUntaken returns when the next request was due that no worker took.
func (r *run) nextUntaken() (due time.Time, ok bool) {
	due = r.start.Add(time.Duration(float64(r.taken.Add(1)-1) / r.w.Rate * float64(time.Second)))
	return due, due.Before(r.deadline)
}
