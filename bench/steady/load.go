//go:build linux

package steady

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Sample is one request: when it was due, and how long its answer took from then.
type Sample struct {
	Due     time.Time
	Latency time.Duration
	IsGet   bool
}

// Load is requests at fixed times.
type Load struct {
	Addrs                      []string // host:port of the servers, which take turns
	Rate                       int      // sets a second, and as many gets
	Conns                      int      // half of them for sets
	Keys, KeyBytes, ValueBytes int      // as bench.Fill has set them
}

// Run sends requests until the context ends and returns their latencies.
func (l *Load) Run(ctx context.Context) ([]Sample, error) {
	var (
		mu   sync.Mutex
		all  []Sample
		errs []error
		wg   sync.WaitGroup
	)
	half := max(1, l.Conns/2)
	start := time.Now()
	for i := range 2 * half {
		c := &client{
			load: l, isGet: i%2 == 0, gap: time.Second * time.Duration(half) / time.Duration(l.Rate),
			rng: rand.New(rand.NewPCG(uint64(i), 1)), value: make([]byte, l.ValueBytes),
		}
		c.next = start.Add(c.gap * time.Duration(i) / time.Duration(2*half))
		wg.Go(func() {
			err := c.run(ctx, l.Addrs[i/2%len(l.Addrs)])
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c.samples...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// client is one connection. On it a request is due at every gap.
type client struct {
	load    *Load
	isGet   bool
	gap     time.Duration
	next    time.Time
	rng     *rand.Rand
	value   []byte
	buf     []byte
	samples []Sample
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
		c.samples = append(c.samples, Sample{c.next, time.Since(c.next), c.isGet})
		c.next = c.next.Add(c.gap)
	}
	return nil
}

// key returns a key in the form that bench.Fill uses.
func (c *client) key(n int) string { return fmt.Sprintf("k%0*d", c.load.KeyBytes-1, n) }

func (c *client) request(conn net.Conn, in *bufio.Reader) error {
	key := c.rng.IntN(c.load.Keys)
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
	case !c.isGet || !strings.HasPrefix(string(line), "VALUE "):
		return fmt.Errorf("the server says %q", line)
	}
	_, err = io.CopyN(io.Discard, in, int64(len(c.value)+len("\r\nEND\r\n")))
	return err
}
