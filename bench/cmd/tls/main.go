//go:build linux

// Command tls compares running memcached servers that serve clients with TLS, and without
// it, in alternating rounds, and prints a Markdown table of requests each second.
//
//	go run ./bench/cmd/tls -target memcached=tls:127.0.0.1:21210 -target raftcached=tls:127.0.0.1:21211
//
// It does not check certificates. Its connections are goroutines that wait for each burst
// of answers, so it takes more of the processors than command load, alike for all targets.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keys       = 10_000
	valueBytes = 100
	fillBurst  = 100 // sets that are sent at once
	answerEnd  = 6   // bytes of an answer that are compared, its last ones
)

// depths are the requests of a burst.
var depths = []int{1, 16}

// target is a running server.
type target struct {
	name, addr string
	secure     bool
}

// dial connects, and shakes hands if the target is secure.
func (t target) dial() (net.Conn, error) {
	nc, err := net.Dial("tcp", t.addr)
	if err != nil || !t.secure {
		return nc, err
	}
	return tls.Client(nc, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}), nil //nolint:gosec // it measures
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var targets []target
	flag.Func("target", "NAME=tls:HOST:PORT or NAME=tcp:HOST:PORT; several times to compare", func(text string) error {
		name, rest, _ := strings.Cut(text, "=")
		how, addr, ok := strings.Cut(rest, ":")
		if !ok || how != "tls" && how != "tcp" {
			return errors.New("write NAME=tls:HOST:PORT")
		}
		targets = append(targets, target{name, addr, how == "tls"})
		return nil
	})
	conns := flag.Int("conns", 50, "connections")
	duration := flag.Duration("duration", time.Second, "length of a round")
	rounds := flag.Int("rounds", 3, "rounds of each target")
	flag.Parse()
	for _, t := range targets {
		if err := fill(t); err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	fmt.Print("| workload |")
	for _, t := range targets {
		fmt.Printf(" %s |", t.name)
	}
	fmt.Printf("\n| --- |%s\n", strings.Repeat(" ---: |", len(targets)))
	for _, set := range []bool{false, true} {
		for _, depth := range depths {
			if err := compare(ctx, targets, workload{set, depth, *conns, *duration}, *rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// workload is what is sent in a round.
type workload struct {
	set      bool
	depth    int
	conns    int
	duration time.Duration
}

// requests are those that it sends.
func (w workload) requests() []string {
	if w.set {
		return sets
	}
	return gets
}

func (w workload) String() string {
	return fmt.Sprintf("%s, %d at a time", map[bool]string{true: "set", false: "get"}[w.set], w.depth)
}

// compare measures the targets in turn, and prints the medians.
func compare(ctx context.Context, targets []target, w workload, rounds int) error {
	results := make([][]float64, len(targets))
	for range rounds {
		for i, t := range targets {
			result, err := measure(ctx, t, w)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", w, t.name, err)
			}
			results[i] = append(results[i], result)
		}
	}
	fmt.Printf("| %s |", w)
	for _, r := range results {
		slices.Sort(r)
		fmt.Printf(" %.0f |", r[len(r)/2])
	}
	fmt.Println()
	return nil
}

// measure returns the requests that a target answers in a second.
func measure(ctx context.Context, t target, w workload) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var answered atomic.Int64
	failed := make(chan error, w.conns)
	begin := make(chan struct{})
	var ready sync.WaitGroup
	for i := range w.conns {
		ready.Add(1)
		group.Go(func() {
			if err := w.load(ctx, t, i*7919, &ready, begin, &answered); err != nil {
				failed <- err
			}
		})
	}
	ready.Wait() // connected, or failed
	start := time.Now()
	close(begin)
	select {
	case <-time.After(w.duration):
	case <-ctx.Done():
	}
	n := answered.Load()
	took := time.Since(start)
	cancel()
	group.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(n) / took.Seconds(), nil
	}
}

// load sends bursts on one connection until the context ends.
func (w workload) load(ctx context.Context, t target, key int, ready *sync.WaitGroup, begin chan struct{}, answered *atomic.Int64) error {
	nc, err := t.dial()
	if err == nil {
		defer func() { _ = nc.Close() }() // all answers were read
		_, err = io.WriteString(nc, "version\r\n")
	}
	if err == nil {
		_, err = nc.Read(make([]byte, 100))
	}
	ready.Done()
	if err != nil {
		return err
	}
	<-begin
	want := []byte(strings.Repeat(answer(w.set, 0), w.depth)) // but for the numbers of keys
	var out []byte
	got := make([]byte, w.depth*len(answer(w.set, 0)))
	for ctx.Err() == nil {
		out = out[:0]
		for range w.depth {
			key = (key + 1) % keys
			out = append(out, w.requests()[key]...)
		}
		if _, err := nc.Write(out); err != nil {
			return err
		}
		if _, err := io.ReadFull(nc, got); err != nil {
			return err
		}
		if !bytes.Equal(got[len(got)-answerEnd:], want[len(got)-answerEnd:]) {
			return fmt.Errorf("got %.100q, want %.100q", got, want)
		}
		answered.Add(int64(w.depth))
	}
	return nil
}

var value = strings.Repeat("v", valueBytes)

// gets and sets are the requests for each key.
var gets, sets = requests()

func requests() (gets, sets []string) {
	for key := range keys {
		gets = append(gets, fmt.Sprintf("get key-%05d\r\n", key))
		sets = append(sets, fmt.Sprintf("set key-%05d 0 0 %d\r\n%s\r\n", key, valueBytes, value))
	}
	return gets, sets
}

func answer(set bool, key int) string {
	if set {
		return "STORED\r\n"
	}
	return fmt.Sprintf("VALUE key-%05d 0 %d\r\n%s\r\nEND\r\n", key, valueBytes, value)
}

// fill sets every key.
func fill(t target) error {
	nc, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }() // all answers were read
	for key := 0; key < keys; key += fillBurst {
		var out strings.Builder
		for i := range fillBurst {
			out.WriteString(sets[key+i])
		}
		if _, err := io.WriteString(nc, out.String()); err != nil {
			return err
		}
		got := make([]byte, fillBurst*len(answer(true, 0)))
		if _, err := io.ReadFull(nc, got); err != nil {
			return err
		}
	}
	return nil
}
