//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestParseReply also feeds every shorter piece of each reply: it must ask for
// more.
func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		reply string
		isGet bool
		want  outcome
	}{
		{"STORED\r\n", false, done},
		{"NOT_STORED\r\n", false, failed},
		{"SERVER_ERROR no leader\r\n", false, failed},
		{"END\r\n", true, miss},
		{"VALUE k 0 5\r\nEND\r\n\r\nEND\r\n", true, hit},
		{"VALUE k 0 0\r\n\r\nEND\r\n", true, hit},
		{"SERVER_ERROR timeout\r\n", true, failed},
		{"ERROR\r\n", true, failed},
	} {
		n, got := parseReply([]byte(c.reply+"STORED\r\n"), c.isGet)
		if n != len(c.reply) || got != c.want {
			t.Errorf("%q: length %d, outcome %d; want %d, %d", c.reply, n, got, len(c.reply), c.want)
		}
		for end := range len(c.reply) {
			if n, _ := parseReply([]byte(c.reply[:end]), c.isGet); n != 0 {
				t.Errorf("%q: length %d, want 0 for an incomplete reply", c.reply[:end], n)
			}
		}
	}
}

// mapServer is a memcached of a map and two commands.
func mapServer(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	items := map[string]string{}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				for r := bufio.NewReader(conn); ; {
					line, err := r.ReadString('\n')
					words := strings.Fields(line)
					if err != nil || len(words) < 2 {
						return
					}
					mu.Lock()
					reply := "STORED\r\n"
					if words[0] == "set" {
						items[words[1]], err = r.ReadString('\n')
					} else if value, ok := items[words[1]]; ok {
						reply = fmt.Sprintf("VALUE %s 0 %d\r\n%sEND\r\n", words[1], len(value)-2, value)
					} else {
						reply = "END\r\n"
					}
					mu.Unlock()
					if err == nil {
						_, err = io.WriteString(conn, reply)
					}
					if err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// TestCompare fills two servers and drives them in turn: after Fill every get
// hits, and each round counts.
func TestCompare(t *testing.T) {
	ctx := context.Background()
	w := Workload{Conns: 4, Depth: 3, GetRatio: 0.5, Keys: 100, Theta: 0.5, KeyBytes: 10, ValueBytes: 30_000, Threads: 2}
	targets := []Target{{Name: "first", Addrs: []string{mapServer(t)}}, {Name: "second", Addrs: []string{mapServer(t), mapServer(t)}}}
	if err := Fill(ctx, targets[0], w); err != nil {
		t.Fatal(err)
	}
	rows, err := Compare(ctx, targets, "mixed", w, 300*time.Millisecond, 2)
	if err != nil {
		t.Fatal(err)
	}
	if rows[0].Total.Misses != 0 || rows[1].Total.Misses == 0 {
		t.Errorf("filled target has %d misses and the other %d; want none and some", rows[0].Total.Misses, rows[1].Total.Misses)
	}
	for _, r := range rows {
		if len(r.Rates) != 2 || r.Total.Errors != 0 || r.Total.Ops == 0 || r.Ratio <= 0 ||
			r.Total.Ops != r.Total.Latency().TotalCount() {
			t.Errorf("row is %+v", r)
		}
	}
	var table bytes.Buffer
	if err := WriteTable(&table, rows); err != nil || strings.Count(table.String(), "\n") != 4 {
		t.Errorf("table is %q, %v; want four lines", &table, err)
	}
}

func TestFillReportsErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "SERVER_ERROR out of memory storing object\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	err = Fill(context.Background(), Target{Name: "full", Addrs: []string{l.Addr().String()}},
		Workload{Conns: 1, Depth: 1, Keys: 1, KeyBytes: 2, Threads: 1})
	if err == nil || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("error is %v, want the server's reply", err)
	}
	_ = l.Close()
	served.Wait()
}
