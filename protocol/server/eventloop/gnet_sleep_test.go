package eventloop

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// asleep waits until a loop sleeps in Go's poller, not in gnet's system call.
func asleep(t *testing.T, l *gnetLoop, after string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !l.sleeper.asleep.Load() {
		if time.Now().After(deadline) {
			t.Fatalf("the loop does not sleep after %s", after)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestLoopSleepsAfterEachKindOfEvent: a loop that waits in gnet's system call keeps a
// processor from everything else.
func TestLoopSleepsAfterEachKindOfEvent(t *testing.T) {
	l := &loopHooks{open: echo}
	e := newEngine(t, l)
	loop := l.Loop.(*gnetLoop)
	echoes(t, dial(t, e), "a request")
	asleep(t, loop, "a request")
	onLoop(l, func() {})
	asleep(t, loop, "a post")
	echoes(t, dial(t, e), "another request")
	asleep(t, loop, "a request of a new connection")
	silent := dial(t, e)
	e.awaitOpen(t, 3)
	asleep(t, loop, "the opening of a connection")
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	e.awaitOpen(t, 2)
	asleep(t, loop, "the end of a connection")
}

// TestLoopSleepsWhileAClientReads: gnet tells nobody when it sends what a client had left.
func TestLoopSleepsWhileAClientReads(t *testing.T) {
	const bytesOut = 16 << 20
	h := &hooks{readable: func(c Conn) {
		c.Discard(c.Buffered())
		c.Write(make([]byte, bytesOut))
	}}
	l, _, client := serve(t, h)
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	h.await(t, "readable")
	loop := l.Loop.(*gnetLoop)
	piece := make([]byte, 1<<20)
	for range bytesOut / len(piece) {
		asleep(t, loop, "a part of the output")
		if _, err := io.ReadFull(client, piece); err != nil {
			t.Fatal(err)
		}
	}
	asleep(t, loop, "the last of the output")
}

// TestNoPostIsLostOnALoopThatFallsAsleep: nothing else wakes it.
func TestNoPostIsLostOnALoopThatFallsAsleep(t *testing.T) {
	l := &loopHooks{open: echo}
	newEngine(t, l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			onLoop(l, func() {})
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a post was lost")
	}
}

// TestNothingIsLostOnASleepingLoop: posts, requests and new connections, each of which
// somebody waits for, meet a loop that falls asleep after each of them.
func TestNothingIsLostOnASleepingLoop(t *testing.T) {
	const rounds = 500
	l := &loopHooks{open: echo}
	e := newEngine(t, l)
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for range rounds {
				onLoop(l, func() {})
			}
		})
	}
	for range 2 {
		client := dial(t, e)
		group.Go(func() { roundTrips(t, client, rounds) })
	}
	group.Go(func() {
		for range rounds / 10 {
			client, err := net.Dial("tcp", e.Listeners()[0].Addr.String())
			if err != nil {
				t.Error(err)
				return
			}
			roundTrips(t, client, 1)
			_ = client.Close()
		}
	})
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a post, a request or a connection was lost")
	}
}

// roundTrips sends bytes one at a time, and awaits each. Any goroutine may call it.
func roundTrips(t *testing.T, client net.Conn, n int) {
	t.Helper()
	for range n {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Error(err)
			return
		}
		if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
			t.Error(err)
			return
		}
	}
}
