//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"raftcached/bench"
)

// warmUp is how long each target is driven before the first round.
const warmUp = time.Second

// round is one round of one target.
type round struct {
	Measured
	cost
}

// perSecond returns the answers a second.
func (r round) perSecond() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// cpuMicros returns the processor time of the servers for an answer, in µs.
func (r round) cpuMicros() float64 {
	return float64(r.serverCPU.Nanoseconds()) / 1000 / float64(max(r.Ops, 1))
}

// of returns what a figure is about.
func (r round) of(m measure) float64 {
	switch m {
	case rate:
		return r.perSecond()
	case cpu:
		return r.cpuMicros()
	case p50:
		return float64(r.P50)
	case p99:
		return float64(r.P99)
	}
	return float64(r.Gap) / float64(time.Millisecond)
}

// outcome is the result of a row: rounds by target.
type outcome struct {
	row     row
	targets []target
	rounds  map[string][]round
}

// median returns the median over the rounds of a target.
func (o *outcome) median(name string, f func(round) float64) float64 {
	values := make([]float64, 0, len(o.rounds[name]))
	for _, r := range o.rounds[name] {
		values = append(values, f(r))
	}
	return bench.Median(values)
}

// reached returns a figure's value: the median over the rounds of the ratio to the best
// rival of that round, or of our own value. It reports false without a rival.
func (o *outcome) reached(f figure) (float64, bool) {
	var values []float64
	for i, us := range o.rounds[o.targets[0].name] {
		if len(f.rivals) == 0 {
			values = append(values, us.of(f.what))
			continue
		}
		var ratios []float64
		for _, t := range f.rivals {
			if rounds := o.rounds[t.name]; i < len(rounds) {
				ratio := us.of(f.what) / rounds[i].of(f.what)
				if f.what == p50 || f.what == p99 {
					ratio = 1 / ratio
				}
				ratios = append(ratios, ratio)
			}
		}
		if len(ratios) == 0 {
			return 0, false
		}
		if f.what.lower() {
			values = append(values, slices.Max(ratios))
		} else {
			values = append(values, slices.Min(ratios))
		}
	}
	return bench.Median(values), len(values) > 0
}

// runner measures rows.
type runner struct {
	launcher launcher
	duration time.Duration
	rounds   int
	rate     float64 // of open loops; 0: half of what we can
}

// measureRow starts the targets of a row, drives them in turn, and ends them. Rivals
// that cannot be started are left out, with a word on stderr.
func (r *runner) measureRow(ctx context.Context, chosen row) (_ *outcome, err error) {
	running := map[string]system{}
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.close())
		}
	}()
	o := &outcome{row: chosen, rounds: map[string][]round{}}
	for i, t := range chosen.targets {
		if running[t.system] == nil {
			s, err := r.launcher.start(ctx, t.system)
			if err != nil && (i == 0 || ctx.Err() != nil) {
				return nil, err
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "rivals: %s is left out: %v\n", t.name, err)
				continue
			}
			running[t.system] = s
		}
		o.targets = append(o.targets, t)
		if err := r.prepare(ctx, running[t.system], t, chosen.workload); err != nil {
			return nil, err
		}
	}
	w := chosen.workload
	if chosen.halfRate {
		if w.Rate, err = r.openRate(ctx, running[o.targets[0].system], o.targets[0], w); err != nil {
			return nil, err
		}
		o.row.workload.Rate = w.Rate
	}
	for n := range r.rounds {
		for _, t := range o.targets {
			w.Seed++
			result, err := measureRound(ctx, running[t.system], t, w, r.duration)
			if err != nil {
				return nil, fmt.Errorf("row %s, round %d, %s: %w", chosen.name, n+1, t.name, err)
			}
			o.rounds[t.name] = append(o.rounds[t.name], result)
		}
	}
	return o, nil
}

// prepare fills a target if it will be read, and warms it up.
func (r *runner) prepare(ctx context.Context, s system, t target, w bench.Workload) error {
	if f, ok := s.(filler); ok && w.GetRatio > 0 {
		if err := bench.Fill(ctx, bench.Target{Name: t.name, Addrs: f.addresses(), Dialect: t.dialect}, w); err != nil {
			return err
		}
	}
	if _, err := s.measure(ctx, w, t.dialect, min(warmUp, r.duration)); err != nil {
		return fmt.Errorf("warm up %s: %w", t.name, err)
	}
	return nil
}

// openRate returns the rate of an open loop: the flag's, or half of a closed loop's.
func (r *runner) openRate(ctx context.Context, s system, t target, w bench.Workload) (float64, error) {
	if r.rate > 0 {
		return r.rate, nil
	}
	m, err := s.measure(ctx, w, t.dialect, min(r.duration, 10*time.Second))
	if err == nil && m.Ops == 0 {
		err = errors.New("there was no answer")
	}
	if err != nil {
		return 0, fmt.Errorf("look for the highest rate of %s: %w", t.name, err)
	}
	return float64(m.Ops) / m.Elapsed.Seconds() / 2, nil
}

// measureRound drives a target for one round.
func measureRound(ctx context.Context, s system, t target, w bench.Workload, d time.Duration) (result round, err error) {
	before, err := readUsage(s.pids())
	if err != nil {
		return result, err
	}
	watch := watchMachine(time.Now)
	result.Measured, err = s.measure(ctx, w, t.dialect, d)
	late := watch.end()
	if err != nil {
		return result, err
	}
	result.cost, err = costSince(before, s.pids())
	result.late = late
	return result, err
}
