package eventloop

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
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

// TestPostsLeaveRoomForEvents: a goroutine that posts again as soon as its post has run, and
// gets the only processor whenever the loop gives it away, does not keep the loop from its
// connections, nor from new ones.
func TestPostsLeaveRoomForEvents(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := &loopHooks{open: echo}
	var stop atomic.Bool
	var post func()
	post = func() {
		if !stop.Load() {
			go l.Post(post)
		}
	}
	servesMeanwhile(t, l, func() { l.Post(post) }, &stop)
}

// TestPostThatPostsAgainLeavesRoomForEvents: the same on the loop's own goroutine.
func TestPostThatPostsAgainLeavesRoomForEvents(t *testing.T) {
	l := &loopHooks{open: echo}
	var stop atomic.Bool
	var post func()
	post = func() {
		if !stop.Load() {
			l.Post(post)
		}
	}
	servesMeanwhile(t, l, func() { l.Post(post) }, &stop)
}

// TestTurnEndThatAsksForAnotherLeavesRoomForEvents: the same of the ends of turns.
func TestTurnEndThatAsksForAnotherLeavesRoomForEvents(t *testing.T) {
	l := &loopHooks{open: echo}
	var stop atomic.Bool
	stop.Store(true)
	l.turnEnd = func() {
		if !stop.Load() {
			l.RequestTurnEnd()
		}
	}
	servesMeanwhile(t, l, func() {
		stop.Store(false)
		l.Post(func() {})
	}, &stop)
}

// servesMeanwhile fails the test if clients are not served between begin and stop, or if the
// loop does not sleep afterwards.
func servesMeanwhile(t *testing.T, l *loopHooks, begin func(), stop *atomic.Bool) {
	t.Helper()
	e := newEngine(t, l)
	client := dial(t, e)
	echoes(t, client, "before")
	begin()
	defer stop.Store(true)
	roundTripsSoon(t, client)
	roundTripsSoon(t, dial(t, e))
	stop.Store(true)
	asleep(t, l.Loop.(*gnetLoop), "the last turn")
}

// roundTripsSoon is a few round trips, in the time that a test has.
func roundTripsSoon(t *testing.T, client net.Conn) {
	t.Helper()
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	roundTrips(t, client, 20)
	if t.Failed() {
		t.FailNow()
	}
}

// TestLoopWithoutGosPoller: if that fails, gnet waits.
func TestLoopWithoutGosPoller(t *testing.T) {
	l := &loopHooks{open: echo}
	e := newEngine(t, l)
	client := dial(t, e)
	echoes(t, client, "before")
	loop := l.Loop.(*gnetLoop)
	asleep(t, loop, "a request")
	loop.sleeper.close()
	for range 3 {
		roundTripsSoon(t, client)
		onLoop(l, func() {})
		roundTripsSoon(t, dial(t, e))
	}
}

// TestConnectionThatNoLoopCanWatch leaves nothing: the loop sleeps, and takes the next.
func TestConnectionThatNoLoopCanWatch(t *testing.T) {
	l := &loopHooks{open: echo}
	e := newEngine(t, l)
	echoes(t, dial(t, e), "before")
	loop := l.Loop.(*gnetLoop)
	for range 20 {
		ours, theirs := net.Pipe()
		if err := e.loops.watch(noDescriptor{theirs}, nil); !errors.Is(err, errNoDescriptor) {
			t.Errorf("a connection without a descriptor is watched: %v", err)
		}
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a connection that was not taken: %v, want it closed", err)
		}
		asleep(t, loop, "a connection that it could not watch")
	}
	if n := loop.load.Load(); n != 1 || loop.sleeper.barred() {
		t.Errorf("the loop has %d connections, and is barred: %v; want 1, false", n, loop.sleeper.barred())
	}
	echoes(t, dial(t, e), "afterwards")
}

var errNoDescriptor = errors.New("no descriptor")

// noDescriptor is a connection that fails to tell its descriptor, when the loop has had the
// time to leave the waiting to gnet.
type noDescriptor struct{ net.Conn }

func (c noDescriptor) SyscallConn() (syscall.RawConn, error) {
	for range 1000 {
		runtime.Gosched()
	}
	return nil, errNoDescriptor
}

// TestEndedConnectionsAreCountedOut: the next connections go where the fewest are.
func TestEndedConnectionsAreCountedOut(t *testing.T) {
	send := func(text string) func(c *net.TCPConn) error {
		return func(c *net.TCPConn) error {
			_, err := io.WriteString(c, text)
			return err
		}
	}
	l := &loopHooks{open: func(c Conn) Handler {
		return &hooks{c: c, events: make(chan string, 100), inputEnded: func(c Conn) {
			c.Write([]byte("x"))
			c.Close()
		}, readable: func(c Conn) {
			if string(c.Peek()) == "close" {
				c.Close()
			}
			c.Discard(c.Buffered())
			c.Write(make([]byte, 8<<20)) // more than the socket takes
		}}
	}}
	e := newEngine(t, l)
	loop := l.Loop.(*gnetLoop)
	for _, end := range []func(c *net.TCPConn) error{(*net.TCPConn).Close, (*net.TCPConn).CloseWrite, send("close"), send("much")} {
		c := dial(t, e)
		e.awaitOpen(t, 1)
		if err := end(c); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 1)) // whether there is something to read or not, it has begun
		_ = c.SetLinger(0)
		_ = c.Close()
		e.awaitOpen(t, 0)
	}
	var outgoing int
	onLoop(l, func() { outgoing = len(loop.outgoing) })
	if n := loop.load.Load(); n != 0 || outgoing != 0 || loop.sleeper.barred() {
		t.Errorf("the loop has %d connections, %d with output, and is barred: %v; want none", n, outgoing, loop.sleeper.barred())
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
