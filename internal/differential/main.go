package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// differencesMax is how many differences are reduced and printed before the run ends.
// More are mostly the same.
const differencesMax = 10

// options of a comparison.
type options struct {
	commands int64
	seed     uint64
	streams  int // at a time
	only     int64
	meta     bool
	binary   bool
	old      bool // memcached is older than the version that is followed
	classic  bool // neither meta nor binary, whatever memcached supports
	twice    bool // two memcacheds, to prove the rules
	dir      string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0 without unexplained differences, 1 with some, 2 if
// nothing could be compared.
func run(args []string, out, errs io.Writer) int {
	o := options{}
	flags := flag.NewFlagSet("differential", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Int64Var(&o.commands, "n", 1_000_000, "requests to send to each server")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the requests; 0: another one each time")
	flags.IntVar(&o.streams, "streams", 128, "streams at a time")
	flags.Int64Var(&o.only, "only", -1, "run this stream of the seed alone")
	flags.BoolVar(&o.classic, "classic", false, "classic text commands only")
	flags.BoolVar(&o.twice, "twice", false, "compare memcached with another memcached")
	list := flags.Bool("rules", false, "list what may differ and what is not sent, with reasons, and exit")
	flags.StringVar(&o.dir, "dir", "", "folder for the server's data; default: a temporary one")
	if flags.Parse(args) != nil {
		return 2
	}
	if *list {
		if _, err := io.WriteString(out, listRules()); err != nil {
			return 2
		}
		return 0
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sum, err := compare(ctx, o, out)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "differential:", err) // the exit code reports it too
		return 2
	}
	if sum.differences.Load() > 0 {
		return 1
	}
	return 0
}

// tally is what the streams share.
type tally struct {
	next        atomic.Uint64 // stream
	commands    atomic.Int64
	differences atomic.Int64

	alone sync.RWMutex // held for writing by a stream that affects all keys

	mu  sync.Mutex // guards what follows
	out io.Writer
	err error
}

// compare starts both servers, runs the streams and prints differences and a
// summary.
func compare(ctx context.Context, o options, out io.Writer) (*tally, error) {
	p, err := startPair(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	t := &tally{out: out}
	t.printf("seed %d: %s\n", o.seed, p.what)
	started := time.Now()
	if o.only >= 0 {
		t.next.Store(uint64(o.only))
		o.streams, o.commands = 1, 1
	}
	var wg sync.WaitGroup
	for range o.streams {
		wg.Go(func() {
			for t.commands.Load() < o.commands && t.differences.Load() < differencesMax && ctx.Err() == nil {
				if err := t.runStream(ctx, &p.runner, t.next.Add(1)-1, o); err != nil {
					t.fail(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.err != nil {
		return nil, errors.Join(t.err, p.ended())
	}
	seconds := time.Since(started).Seconds()
	t.printf("%d commands, %d unexplained (%.0f commands/s)\n", t.commands.Load(), t.differences.Load(),
		float64(t.commands.Load())/seconds)
	return t, nil
}

// printf prints a message for the user.
func (t *tally) printf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

// runStream generates and compares one stream.
func (t *tally) runStream(ctx context.Context, r *runner, stream uint64, o options) error {
	g := newGenerator(o.seed, stream, o)
	batches := g.stream()
	if g.alone {
		t.alone.Lock()
		defer t.alone.Unlock()
	} else {
		t.alone.RLock()
		defer t.alone.RUnlock()
	}
	d, err := r.replay(ctx, stream, g.keys, batches)
	if err != nil {
		return fmt.Errorf("stream %d of seed %d: %w", stream, o.seed, err)
	}
	t.commands.Add(int64(commandsIn(batches)))
	if d != nil && t.differences.Add(1) <= differencesMax {
		whole := d
		d = r.shrink(ctx, g.keys, d)
		t.printf("\nseed %d, %d of %d requests, %v", o.seed, commandsIn(d.batches), commandsIn(whole.batches), d)
	}
	return nil
}
