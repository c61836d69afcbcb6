package server

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"raftcached/internal/testclient"

	"go.uber.org/goleak"
)

// patience bounds every wait of the tests. Only a failure reaches it.
const patience = testclient.Patience

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of workers, which lives as long as the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// start runs a server of one event loop on a free port until the test ends.
func start(t *testing.T, b Backend, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{Listen: []string{"127.0.0.1:0"}, Loops: 1}
	for _, f := range change {
		f(&o)
	}
	s, err := Start(o, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // cuts the connections that are left
		_ = s.Close(ctx)
	})
	return s
}

// dial connects to s until the test ends.
func dial(t *testing.T, s *Server) *testclient.Client {
	t.Helper()
	return testclient.Dial(t, s.Addr().String())
}

// await waits until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// onLoop runs f on the goroutine of the server's first event loop.
func onLoop(s *Server, f func(l *loop)) {
	done := make(chan struct{})
	s.loops[0].Post(func() {
		defer close(done)
		f(s.loops[0])
	})
	<-done
}

// awaitConn waits until a connection of the server's first loop is in the state.
func awaitConn(t *testing.T, s *Server, what string, state func(c *conn) bool) {
	t.Helper()
	var last string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("last seen:", last)
		}
	})
	await(t, what, func() (ok bool) {
		onLoop(s, func(l *loop) {
			last = fmt.Sprint(len(slices.Collect(l.conns.all())), " connections")
			for c := range l.conns.all() {
				ok = ok || state(c)
				last = fmt.Sprintf("life %d, wait %d, %d unanswered, %d bytes in, %d out",
					c.life, c.wait, c.unanswered, c.events.Buffered(), c.out.waiting)
			}
		})
		return ok
	})
}
