//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"raftcached/bench"
)

const (
	// setShare is how many of the requests are sets, beside gets.
	setShare = 0.1

	// What is wanted of gets beside sets: of the rate and of the 99th percentile of a lone
	// server's beside the same sets, which gets what they leave of the processors.
	mixedRateMin, mixedP99Max = 0.9, 1.5

	// pacedShare is of which share of the gets that are possible beside sets the 99th
	// percentile is measured: of gets as fast as they are answered it is that of a queue.
	pacedShare = 0.5

	// What is wanted of sets while others hold leases, of those while nobody does.
	heldLatencyMax = 1.05

	// setConns is on how many connections sets come, heldReads how many reads a second
	// keep the leases of holders alive.
	setConns, heldReads = 50, 200

	// sameSetsMin is how many of the sets that were to be done must be, for runs to be
	// compared.
	sameSetsMin = 0.9

	// setsGuess is how many sets a second are tried first.
	setsGuess = 5000
)

// beside is what one round of gets and sets has measured.
type beside struct {
	gets, sets  float64 // a second
	same        float64 // the fewest sets of a run that was to have as many, of sets
	left        float64 // gets, of those of a lone server beside the same sets
	p99Us       float64 // of paced gets
	alone, lone float64 // ratios of that: to gets without sets, and to a lone server's beside them
}

// measureMixed writes a row for each target whose gets are answered by leases: gets as
// fast as they are answered, beside so many sets at the leader that they are a tenth of
// all.
//
// What the sets leave to the gets is measured: what a lone server answers beside them,
// that has nothing to do with them but shares the processors.
func (b *comparison) measureMixed(ctx context.Context, out io.Writer, name string, w bench.Workload) error {
	fmt.Fprintln(os.Stderr, "measuring", name)
	for i := range b.targets {
		t := &b.targets[i]
		if !t.leased() {
			continue
		}
		var rounds []beside
		for range b.rounds {
			w.Seed++
			r, err := t.beside(ctx, w, b.lone(), b.duration)
			if err != nil {
				return err
			}
			rounds = append(rounds, r)
		}
		of := func(value func(beside) float64) float64 {
			values := make([]float64, len(rounds))
			for k := range rounds {
				values[k] = value(rounds[k])
			}
			return median(values)
		}
		left, lone := of(func(r beside) float64 { return r.left }), of(func(r beside) float64 { return r.lone })
		verdict := "met"
		if left < mixedRateMin || lone > mixedP99Max {
			verdict = fmt.Sprintf("missed: at least %.2f, p99 at most %.2f", mixedRateMin, mixedP99Max)
		}
		if same := of(func(r beside) float64 { return r.same }); same < sameSetsMin {
			verdict += fmt.Sprintf("; in one run %.0f %% of the sets were done", 100*same)
		}
		if _, err := fmt.Fprintf(out, "| %s | %s | %.0f | %.0f | %.2f | %.0f | %.2f | %.1f | %s |\n", name, t.Name,
			of(func(r beside) float64 { return r.gets }), of(func(r beside) float64 { return r.sets }), left,
			of(func(r beside) float64 { return r.p99Us }), lone, of(func(r beside) float64 { return r.alone }), verdict); err != nil {
			return err
		}
	}
	return nil
}

// lone returns the lone server.
func (b *comparison) lone() bench.Target {
	i := slices.IndexFunc(b.targets, func(t target) bool { return t.leases == "" })
	return b.targets[i].Target
}

// beside measures gets beside sets and those of a lone server beside the same sets, as fast
// as they are answered and paced, and paced gets without sets.
func (t *target) beside(ctx context.Context, gets bench.Workload, lone bench.Target, d time.Duration) (beside, error) {
	gets.GetRatio = 1
	sets := gets
	sets.GetRatio, sets.Conns, sets.Rate = 0, setConns, setsGuess
	const perGet = setShare / (1 - setShare)
	for range 2 { // each comes nearer to a tenth
		r, err := busy(ctx, d/2, run{t.Target, gets}, run{t.writes, sets})
		if err != nil {
			return beside{}, err
		}
		sets.Rate = r[0].Rate() * perGet
	}
	both, err := busy(ctx, d, run{t.Target, gets}, run{t.writes, sets})
	if err != nil {
		return beside{}, err
	}
	sets.Rate = both[1].Rate() // if so many could not be done
	left, err := busy(ctx, d, run{lone, gets}, run{t.writes, sets})
	if err != nil {
		return beside{}, err
	}
	paced := gets
	paced.Rate = both[0].Rate() * pacedShare
	alone, err := busy(ctx, d, run{t.Target, paced})
	if err != nil {
		return beside{}, err
	}
	slow, err := busy(ctx, d, run{t.Target, paced}, run{t.writes, sets})
	if err != nil {
		return beside{}, err
	}
	same, err := busy(ctx, d, run{lone, paced}, run{t.writes, sets})
	if err != nil {
		return beside{}, err
	}
	fewest := min(left[1].Rate(), slow[1].Rate(), same[1].Rate())
	p99 := func(r *bench.Result) float64 { return float64(r.Gets.ValueAtPercentile(99)) / 1e3 }
	return beside{
		same: fewest / both[1].Rate(),
		gets: both[0].Rate(), sets: both[1].Rate(), left: both[0].Rate() / left[0].Rate(),
		p99Us: p99(slow[0]), alone: p99(slow[0]) / p99(alone[0]), lone: p99(slow[0]) / p99(same[0]),
	}, nil
}

// run is a load on a target.
type run struct {
	bench.Target
	bench.Workload
}

// busy drives loads at the same time.
func busy(ctx context.Context, d time.Duration, runs ...run) ([]*bench.Result, error) {
	results, errs := make([]*bench.Result, len(runs)), make([]error, len(runs))
	var wait sync.WaitGroup
	for i, r := range runs {
		wait.Go(func() { results[i], errs[i] = bench.Measure(ctx, r.Target, r.Workload, d) })
	}
	wait.Wait()
	for i, r := range results {
		if errs[i] == nil && r.Errors > 0 {
			errs[i] = fmt.Errorf("measure %s: %d errors, the first %q", runs[i].Name, r.Errors, r.FirstError)
		}
	}
	return results, errors.Join(errs...)
}

// measureHeld writes what sets at the leader wait while others hold read leases, because
// a few clients read there, and while as many read at the leader.
func (b *comparison) measureHeld(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(os.Stderr, "measuring sets beside holders")
	var leader *target
	var held []string
	for i := range b.targets {
		switch t := &b.targets[i]; {
		case t.leases != "all":
		case t.server == 0:
			leader = t
		default:
			held = append(held, t.Addrs...)
		}
	}
	if leader == nil {
		return nil
	}
	w := bench.DefaultWorkload
	w.Keys, w.Conns = b.keys, setConns
	reads := w
	w.GetRatio, reads.GetRatio, reads.Rate, reads.Conns = 0, 1, heldReads, 2
	var medians, p99s, with, without []float64
	for range 3 * b.rounds {
		w.Seed++
		at := [2]*bench.Result{}
		for k, addrs := range [][]string{leader.Addrs, held} {
			r, err := busy(ctx, b.duration, run{leader.writes, w}, run{bench.Target{Name: "reads", Addrs: addrs}, reads})
			if err != nil {
				return err
			}
			at[k] = r[0]
		}
		us := func(k int, percent float64) float64 { return float64(at[k].Sets.ValueAtPercentile(percent)) / 1e3 }
		without, with = append(without, us(0, 50)), append(with, us(1, 50))
		medians, p99s = append(medians, us(1, 50)/us(0, 50)), append(p99s, us(1, 99)/us(0, 99))
	}
	verdict := "met"
	if median(medians) > heldLatencyMax || median(p99s) > heldLatencyMax {
		verdict = fmt.Sprintf("missed: at most %.2f", heldLatencyMax)
	}
	_, err := fmt.Fprintf(out, "\n%d connections set one at a time, %d reads a second are at the followers, which hold leases for them, or at the leader:\n"+
		"median %.0f µs with holders, %.0f µs without; ratios of the median %.2f and of the 99th percentile %.2f: %s.\n",
		setConns, heldReads, median(with), median(without), median(medians), median(p99s), verdict)
	return err
}
