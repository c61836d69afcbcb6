//go:build linux

package bench

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// linesServer calls serve for each connection, one after another.
func linesServer(t *testing.T, serve func(lines *bufio.Reader, w io.Writer)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(bufio.NewReader(conn), conn)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		served.Wait()
	})
	return l.Addr().String()
}

// TestPauseCountsForAllThatWereDue: a server that pauses delays the requests that were
// due meanwhile, though only one had been sent.
func TestPauseCountsForAllThatWereDue(t *testing.T) {
	const pause = 60 * time.Millisecond
	addr := linesServer(t, func(lines *bufio.Reader, w io.Writer) {
		for n := 0; ; n++ {
			for range 2 { // the command and the value
				if _, err := lines.ReadString('\n'); err != nil {
					return
				}
			}
			if n == 20 {
				time.Sleep(pause) // what is measured
			}
			_, _ = io.WriteString(w, "STORED\r\n")
		}
	})
	w := DefaultWorkload
	w.GetRatio, w.Conns, w.Keys, w.Rate = 0, 1, 10, 1000
	r, err := Measure(context.Background(), Target{Name: "pausing", Addrs: []string{addr}}, w, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if all := r.Ops + r.Unanswered; all < 195 || all > 200 || r.Latency().TotalCount() != all {
		t.Errorf("%d answered, %d not, %d latencies; want 200 due", r.Ops, r.Unanswered, r.Latency().TotalCount())
	}
	if r.Gap < pause {
		t.Errorf("longest time without an answer is %v, want %v at least", r.Gap, pause)
	}
	// About 60 requests were due in the pause; half of them waited 30 ms or more.
	if p85 := time.Duration(r.Sets.ValueAtPercentile(85)); p85 < pause/3 {
		t.Errorf("p85 is %v, want what those waited that were due in the pause", p85)
	}
}

// TestUnansweredCounts: requests that a server never answers in the run are counted as
// far as they waited.
func TestUnansweredCounts(t *testing.T) {
	for _, c := range []struct {
		gets  float64
		lines int
		reply string
		of    func(*Result) (sent, other *hdrhistogram.Histogram)
	}{
		{0, 2, "STORED\r\n", func(r *Result) (sent, other *hdrhistogram.Histogram) { return r.Sets, r.Gets }},
		{1, 1, "END\r\n", func(r *Result) (sent, other *hdrhistogram.Histogram) { return r.Gets, r.Sets }},
	} {
		held := make(chan struct{})
		addr := linesServer(t, func(lines *bufio.Reader, w io.Writer) {
			<-held
			for range c.lines {
				_, _ = lines.ReadString('\n')
			}
			_, _ = io.WriteString(w, c.reply)
		})
		w := DefaultWorkload
		w.GetRatio, w.Conns, w.Keys, w.Rate = c.gets, 1, 10, 100
		const run = 100 * time.Millisecond
		release := time.AfterFunc(2*run, func() { close(held) })
		defer release.Stop()
		r, err := Measure(context.Background(), Target{Name: "silent", Addrs: []string{addr}}, w, run)
		if err != nil {
			t.Fatal(err)
		}
		sent, other := c.of(r)
		if r.Ops != 0 || r.Unanswered != 10 || r.Gap < run*9/10 || sent.Max() < int64(run*9/10) || other.TotalCount() > 0 {
			t.Errorf("%v gets: %d answered, %d not, gap %v, highest latency %v, %d latencies of others; want 0, 10, %v, none",
				c.gets, r.Ops, r.Unanswered, r.Gap, time.Duration(sent.Max()), other.TotalCount(), run)
		}
	}
}

// TestRedisWait: a burst is answered when WAIT is, and fails if no replica has it.
func TestRedisWait(t *testing.T) {
	for _, c := range []struct {
		wait       string
		wantErrors bool
	}{{":1\r\n", false}, {":2\r\n", false}, {":0\r\n", true}, {"-ERR WAIT cannot be used\r\n", true}} {
		addr := linesServer(t, func(lines *bufio.Reader, w io.Writer) {
			for {
				line, err := lines.ReadString('\n')
				switch {
				case err != nil:
					return
				case strings.HasPrefix(line, "SET"):
					_, _ = io.WriteString(w, "+OK\r\n")
				case strings.HasPrefix(line, "WAIT"):
					_, _ = io.WriteString(w, c.wait)
				}
			}
		})
		w := DefaultWorkload
		w.Keys, w.Depth, w.Conns, w.KeyBytes = 50, 3, 1, 5
		err := Fill(context.Background(), Target{Name: "redis", Addrs: []string{addr}, Dialect: RedisWait}, w)
		if (err != nil) != c.wantErrors {
			t.Errorf("WAIT says %q: %v", c.wait, err)
		}
	}
}

// TestParseRedisReply also feeds every shorter piece of each reply.
func TestParseRedisReply(t *testing.T) {
	for _, c := range []struct {
		reply string
		isGet bool
		want  outcome
	}{
		{"+OK\r\n", false, done},
		{"-ERR syntax\r\n", false, failed},
		{"$-1\r\n", true, miss},
		{"$5\r\n+OK\r\n\r\n", true, hit},
		{"$0\r\n\r\n", true, hit},
		{"-LOADING\r\n", true, failed},
	} {
		n, got := parseRedisReply([]byte(c.reply+"+OK\r\n"), c.isGet)
		if n != len(c.reply) || got != c.want {
			t.Errorf("%q: length %d, outcome %d; want %d, %d", c.reply, n, got, len(c.reply), c.want)
		}
		for end := range len(c.reply) {
			if n, _ := parseRedisReply([]byte(c.reply[:end]), c.isGet); n != 0 {
				t.Errorf("%q: length %d, want 0 for an incomplete reply", c.reply[:end], n)
			}
		}
	}
}
