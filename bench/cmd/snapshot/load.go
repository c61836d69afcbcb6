//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// sample is one request: when it was due, and how long its answer took from then.
type sample struct {
	due     time.Time
	latency time.Duration
	isGet   bool
}

// load sends requests at the configured rate and returns their latencies.
func load(ctx context.Context, c config, addr string, keys int) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	var (
		mu   sync.Mutex
		all  []sample
		errs []error
		wg   sync.WaitGroup
	)
	half := max(1, c.conns/2)
	start := time.Now()
	for i := range 2 * half {
		cl := &client{
			isGet: i%2 == 0, gap: time.Second * time.Duration(half) / time.Duration(c.rate),
			rng: rand.New(rand.NewPCG(uint64(i), 1)), keys: keys, value: make([]byte, c.valueBytes),
		}
		cl.next = start.Add(cl.gap * time.Duration(i) / time.Duration(2*half))
		wg.Go(func() {
			err := cl.run(ctx, addr)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, cl.samples...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// client is one connection. On it a request is due at every gap.
type client struct {
	isGet   bool
	gap     time.Duration
	next    time.Time
	rng     *rand.Rand
	keys    int
	value   []byte
	buf     []byte
	samples []sample
}

func (c *client) run(ctx context.Context, addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is outstanding
	in := bufio.NewReaderSize(conn, 64<<10)
	for ctx.Err() == nil {
		if wait := time.Until(c.next); wait > 0 {
			time.Sleep(wait)
		}
		if err := c.request(conn, in); err != nil {
			return err
		}
		c.samples = append(c.samples, sample{c.next, time.Since(c.next), c.isGet})
		c.next = c.next.Add(c.gap)
	}
	return nil
}

// key returns a key in the form that bench.Fill uses.
func (c *client) key(n int) string { return fmt.Sprintf("k%0*d", keyBytes-1, n) }

func (c *client) request(conn net.Conn, in *bufio.Reader) error {
	key := c.rng.IntN(c.keys)
	if c.isGet {
		c.buf = fmt.Appendf(c.buf[:0], "get %s\r\n", c.key(key))
	} else {
		c.buf = fmt.Appendf(c.buf[:0], "set %s 0 0 %d\r\n", c.key(key), len(c.value))
		c.buf = append(append(c.buf, c.value...), "\r\n"...)
	}
	if _, err := conn.Write(c.buf); err != nil {
		return err
	}
	line, err := in.ReadSlice('\n')
	switch {
	case err != nil:
		return err
	case !c.isGet && string(line) == "STORED\r\n", c.isGet && string(line) == "END\r\n":
		return nil
	case !c.isGet || !slices.Equal(line[:6], []byte("VALUE ")):
		return fmt.Errorf("the server says %q", line)
	}
	_, err = io.CopyN(io.Discard, in, int64(len(c.value)+len("\r\nEND\r\n")))
	return err
}

// writeLatencies prints the latencies of requests during snapshots, and of the others.
func writeLatencies(out *strings.Builder, samples []sample, windows []window) {
	var l [2][2][]time.Duration // by isGet and by whether a snapshot was written
	for _, s := range samples {
		l[index(s.isGet)][index(meets(s, windows))] = append(l[index(s.isGet)][index(meets(s, windows))], s.latency)
	}
	total := time.Duration(0)
	for _, w := range windows {
		total += w.to.Sub(w.from)
	}
	fmt.Fprintf(out, "%d snapshots, %v in all.\n\n", len(windows), total.Round(time.Millisecond))
	fmt.Fprintf(out, "| request | snapshot | requests | p50 ms | p99 ms | p99.9 ms | max ms |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for i, name := range []string{"set", "get"} {
		for j, during := range []string{"none", "being written"} {
			d := l[i][j]
			slices.Sort(d)
			fmt.Fprintf(out, "| %s | %s | %d | %s | %s | %s | %s |\n", name, during, len(d), at(d, 500), at(d, 990), at(d, 999), at(d, 1000))
		}
	}
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// meets reports whether a snapshot was written between the time at which the
// request was due and its answer.
func meets(s sample, windows []window) bool {
	for _, w := range windows {
		if s.due.Before(w.to) && s.due.Add(s.latency).After(w.from) {
			return true
		}
	}
	return false
}

// at returns a quantile of sorted durations, in ms.
func at(d []time.Duration, permille int) string {
	if len(d) == 0 {
		return "-"
	}
	rank := (len(d)*permille + 999) / 1000
	return fmt.Sprintf("%.2f", float64(d[max(rank, 1)-1].Microseconds())/1000)
}
