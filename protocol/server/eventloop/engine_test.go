package eventloop

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ignore opens connections of which nothing is awaited.
func ignore(c Conn) Handler { return &hooks{c: c, events: make(chan string, 1000)} }

func TestPostsRunInTheirOrder(t *testing.T) {
	l := &loopHooks{open: ignore}
	newEngine(t, l)
	const posters, posts = 4, 1000
	got := make([][]int, posters)
	var group sync.WaitGroup
	for p := range posters {
		group.Go(func() {
			for i := range posts {
				l.Post(func() { got[p] = append(got[p], i) })
			}
		})
	}
	group.Wait()
	onLoop(l, func() {
		for p := range got {
			if len(got[p]) != posts || !slices.IsSorted(got[p]) {
				t.Errorf("of %d functions %d ran, in order: %t", posts, len(got[p]), slices.IsSorted(got[p]))
			}
		}
	})
}

// TestPostFromAPost runs after those that are posted already.
func TestPostFromAPost(t *testing.T) {
	l := &loopHooks{open: ignore}
	newEngine(t, l)
	var order []string
	done := make(chan struct{})
	onLoop(l, func() {
		l.Post(func() {
			order = append(order, "first")
			l.Post(func() {
				order = append(order, "third")
				close(done)
			})
		})
		l.Post(func() { order = append(order, "second") })
	})
	<-done
	if want := []string{"first", "second", "third"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// TestTurnEnds: once after the events that asked for it, and after posts.
func TestTurnEnds(t *testing.T) {
	turns := 0
	h := &hooks{events: make(chan string, 100)}
	ended := make(chan struct{}, 100)
	l := &loopHooks{turnEnd: func() {
		turns++
		ended <- struct{}{}
	}}
	l.open = func(c Conn) Handler {
		h.c = c
		return h
	}
	h.readable = func(Conn) {
		l.RequestTurnEnd()
		l.RequestTurnEnd()
		if turns != 0 {
			t.Errorf("%d turns ended during the event, want 0", turns)
		}
	}
	e := newEngine(t, l)
	client := dial(t, e)
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	h.await(t, "readable")
	<-ended // what is posted before shares the turn
	var seen []int
	for range 3 {
		onLoop(l, func() {
			l.RequestTurnEnd() // adds nothing to the one that is due after a post
			seen = append(seen, turns)
		})
	}
	if want := []int{1, 2, 3}; !slices.Equal(seen, want) {
		t.Errorf("turns ended before the posts: %v, want %v", seen, want)
	}
}

func TestTicks(t *testing.T) {
	ticks := make(chan struct{}, 100)
	l := &loopHooks{open: ignore, tick: func() {
		select {
		case ticks <- struct{}{}:
		default:
		}
	}}
	newEngine(t, l, func(c *Config) { c.TickPeriod = time.Millisecond })
	for range 3 {
		<-ticks
	}
}

func TestTooManyConnections(t *testing.T) {
	l := &loopHooks{open: func(c Conn) Handler {
		return &hooks{c: c, events: make(chan string, 1000), readable: func(c Conn) { c.Write(c.Peek()) }, inputEnded: func(c Conn) { c.Close() }}
	}}
	e := newEngine(t, l, func(c *Config) { c.MaxConnections = 2 })
	first, second := dial(t, e), dial(t, e)
	for _, client := range []io.ReadWriter{first, second} {
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(dial(t, e)); err != nil || string(got) != "full\r\n" {
		t.Errorf("the third connection got %q, %v", got, err)
	}
	if got, want := e.Counts(), (Counts{Open: 2, Accepted: 2, Refused: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, l, "the second connection is gone", func() bool { return e.Counts().Open == 1 })
	fourth := dial(t, e)
	if _, err := io.WriteString(fourth, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(fourth, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreSpreadOverTheLoops(t *testing.T) {
	const loops, conns = 3, 12
	var opened [loops]atomic.Int32
	e := newEngine(t, nil, func(c *Config) {
		c.Loops = loops
		c.NewLoop = func(id int, events Loop) LoopHandler {
			return &loopHooks{Loop: events, open: func(c Conn) Handler {
				opened[id].Add(1)
				return ignore(c)
			}}
		}
	})
	for range conns {
		dial(t, e)
	}
	e.awaitAccepted(t, conns)
	e.StopAccepting() // so all are opened
	for id := range opened {
		if n := opened[id].Load(); n != conns/loops {
			t.Errorf("loop %d has %d connections, want %d", id, n, conns/loops)
		}
	}
}

// awaitAccepted waits until n connections were accepted.
func (e *Engine) awaitAccepted(t *testing.T, n uint64) {
	t.Helper()
	await(t, e.loops.all[0], "the connections are accepted", func() bool { return e.Counts().Accepted == n })
}

func TestListenErrors(t *testing.T) {
	l := &loopHooks{open: ignore}
	addr := newEngine(t, l).Listeners()[0].Addr.String()
	config := Config{Loops: 1, MaxConnections: 1, Logger: slog.New(slog.DiscardHandler)}
	for _, test := range []struct{ addr, want string }{{addr, "address already in use"}, {"127.0.0.1", "missing port"}} {
		config.Listen = []string{"127.0.0.1:0", test.addr}
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.addr) {
			t.Errorf("listen on %q: error %v, want one with %q and the address", test.addr, err, test.want)
		}
	}
}

// TestOpenListenersAreUsed instead of addresses, and closed.
func TestOpenListenersAreUsed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &loopHooks{open: ignore}
	e := newEngine(t, l, func(c *Config) { c.Listen, c.Listeners = nil, []net.Listener{ln} })
	if got := e.Listeners()[0].Addr.String(); got != ln.Addr().String() {
		t.Fatalf("listens on %s, want %s", got, ln.Addr())
	}
	dial(t, e)
	e.awaitAccepted(t, 1)
	e.StopAccepting()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after the engine has stopped: %v, want %v", err, net.ErrClosed)
	}
}

// TestStopCutsWhatIsOpen: every handler is told, and what is posted later is
// dropped.
func TestStopCutsWhatIsOpen(t *testing.T) {
	open, half := &hooks{events: make(chan string, 100)}, &hooks{events: make(chan string, 100)}
	next := []*hooks{open, half}
	l := &loopHooks{}
	l.open = func(c Conn) Handler {
		h := next[0]
		h.c, next = c, next[1:]
		return h
	}
	e := newEngine(t, l)
	clients := []io.Reader{dial(t, e)}
	e.awaitAccepted(t, 1)
	second := dial(t, e)
	clients = append(clients, second)
	if err := second.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	half.await(t, "input ended")

	e.StopAccepting()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Wait(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 connections") {
		t.Errorf("wait: %v", err)
	}
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	open.await(t, "closed")
	half.await(t, "closed")
	for i, client := range clients {
		if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
			t.Errorf("client %d got %q, %v", i, rest, err)
		}
	}
	if err := e.Wait(context.Background()); err != nil || e.Counts().Open != 0 {
		t.Errorf("%d connections are open, wait: %v", e.Counts().Open, err)
	}
	l.Post(func() { t.Error("a stopped loop runs functions") })
	if ln := e.Listeners()[0]; ln.FD != -1 {
		t.Errorf("the listener of a stopped engine has descriptor %d", ln.FD)
	}
}

// TestAnswersAreNotHeldBack by the system, until the client has acknowledged those before: Go
// sees to it when it accepts.
func TestAnswersAreNotHeldBack(t *testing.T) {
	h := &hooks{}
	l, _, client := serve(t, h)
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	h.await(t, "readable")
	onLoop(l, func() {
		if on, err := syscall.GetsockoptInt(h.c.FD(), syscall.IPPROTO_TCP, syscall.TCP_NODELAY); err != nil || on == 0 {
			t.Errorf("TCP_NODELAY is %d (%v), want 1", on, err)
		}
	})
}
