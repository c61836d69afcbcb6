package hitratio

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

const testTimeout = 30 * time.Second

// startMemcached starts the real program, or skips the test.
func startMemcached(t *testing.T) *cluster.Memcached {
	t.Helper()
	cluster.NeedMemcached(t)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	m, err := cluster.StartMemcached(ctx, t.TempDir(), "-m", "64")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func dial(t *testing.T, items Items, addrs ...string) *Servers {
	t.Helper()
	s, err := Dial(context.Background(), items, addrs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestRealMemcached sends a trace to a memcached that has room for everything: it
// misses what an LRU of the same room misses, and afterwards a get of every key
// brings the value that was set.
func TestRealMemcached(t *testing.T) {
	m := startMemcached(t)
	for _, items := range []Items{{ValueBytes: 100}, {ValueBytes: Mixed}} {
		for _, addrs := range [][]string{{m.Addr}, {m.Addr, m.Addr, m.Addr}} {
			if _, err := cluster.Ask(t.Context(), m.Addr, "flush_all"); err != nil {
				t.Fatal(err)
			}
			run := NewRun(Trace{Keys: 1000, Theta: 0.8, OneHit: 0.1, Seed: 1}.Generate(10_000), 16, 1000)
			s := dial(t, items, addrs...)
			want := measure(t, NewLRU(items, 64<<20, run.KeyCount()), run)
			if got := measure(t, s, run); got != want {
				t.Errorf("%d connections, %+v: %d misses, want %d", len(addrs), items, got, want)
			}
			if count, first := s.Errors(); count != 0 {
				t.Errorf("%d errors, the first %q", count, first)
			}
		}
	}
}

// answerer is a server that sends the same answers whatever it is asked.
func answerer(t *testing.T, answers string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, answers) // a client that gave up reads no more
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestWrongAnswers feeds the replies to one get, and to the set if that missed.
func TestWrongAnswers(t *testing.T) {
	items := Items{ValueBytes: 3}
	header := "VALUE " + string(items.appendKey(nil, 7)) + " 0 3\r\n"
	for _, c := range []struct {
		name, replies string
		misses        int
		errors        int
		fails         string // what the error says, if there is one
	}{
		{"hit", header + "abc\r\nEND\r\n", 0, 0, ""},
		{"miss", "END\r\nSTORED\r\n", 1, 0, ""},
		{"no leader", "SERVER_ERROR no leader\r\nSERVER_ERROR no leader\r\n", 1, 2, ""},
		{"no memory", "END\r\nSERVER_ERROR out of memory storing object\r\n", 1, 1, ""},
		{"another key", "VALUE other 0 3\r\nabc\r\nEND\r\n", 0, 0, "got \"VALUE other"},
		{"another value", header + "abx\r\nEND\r\n", 0, 0, "got the value \"abx\""},
		{"a longer value", header + "abcd\r\nEND\r\n", 0, 0, "got \"d\", want \"\""},
		{"no end", header + "abc\r\nVALUE\r\n", 0, 0, "got \"VALUE\", want \"END\""},
		{"not stored", "END\r\nNOT_STORED\r\n", 0, 0, "got \"NOT_STORED\""},
		{"unknown command", "ERROR\r\n", 0, 0, "got \"ERROR\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := dial(t, items, answerer(t, c.replies))
			misses, err := s.Round([Nodes][]uint32{{7}})
			errors, _ := s.Errors()
			_ = s.Close() // ends the answerer
			switch {
			case c.fails == "" && err != nil, c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("error is %v, want %q in it", err, c.fails)
			case misses != c.misses || errors != c.errors:
				t.Errorf("%d misses, %d errors; want %d, %d", misses, errors, c.misses, c.errors)
			}
		})
	}
}

func TestDialCountsServers(t *testing.T) {
	if _, err := Dial(context.Background(), Items{ValueBytes: 1}, []string{"127.0.0.1:1", "127.0.0.1:1"}); err == nil {
		t.Error("two servers cannot share the batches of a round evenly, but were dialled")
	}
}
