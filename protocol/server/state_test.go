package server

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
)

// steps is a backend whose answers a test gives itself. It holds no items.
type steps struct {
	silent
	full    bool // Write refuses
	granted bool // Barrier is granted at once

	valueBytes int // of each write
	l          Completer
}

func (b *steps) NewLoop(_ int, c Completer) Loop { b.l = c; return b }

func (b *steps) Barrier() Grant {
	if b.granted {
		return GrantAll
	}
	return GrantLater
}

func (b *steps) BarrierOfAll() Grant { return b.Barrier() }

func (b *steps) Write(*protocol.Request) (accepted, valueBytes int) {
	if b.full {
		return 0, 0
	}
	return 1, b.valueBytes
}

// answer answers the oldest write.
func (b *steps) answer(s protocol.Status) {
	b.l.WriteDone(&protocol.Result{Status: s})
	b.l.ResultsEnd()
}

// wantWait checks what the connection waits for, and what it has answered.
func (f *fakeConn) wantWait(t *testing.T, when string, w wait, replies string) {
	t.Helper()
	if got := f.takeReplies(); f.c.wait != w || got != replies {
		t.Fatalf("%s: waits for %d and answers %q, want %d and %q", when, f.c.wait, got, w, replies)
	}
}

// TestWhatEachClassWaitsFor: with no, one, and the most unanswered writes.
func TestWhatEachClassWaitsFor(t *testing.T) {
	for _, test := range []struct {
		request         string
		class           class
		free, one, most wait
	}{
		{"version", classAnswer, waitNothing, waitWrites, waitWrites},
		{"stats", classAnswer, waitNothing, waitWrites, waitWrites},
		{"bogus", classAnswer, waitNothing, waitWrites, waitWrites},
		{"quit", classAnswer, waitNothing, waitWrites, waitWrites},
		{"mn", classAnswer, waitNothing, waitWrites, waitWrites},
		{"get a", classRead, waitBarrier, waitWrites, waitWrites},
		{"mg a v", classRead, waitBarrier, waitWrites, waitWrites},
		{"me a", classRead, waitBarrier, waitWrites, waitWrites},
		{"delete a", classWrite, waitNothing, waitNothing, waitFewerWrites},
		{"gat 0 a", classGat, waitNothing, waitNothing, waitFewerWrites},
		{"gat 0 a none", classGat, waitBarrier, waitNothing, waitFewerWrites},
		{"mg a T0", classGat, waitNothing, waitNothing, waitFewerWrites},
		{"mg none T0", classGat, waitBarrier, waitNothing, waitFewerWrites},
		{"mg none T0 N5", classWrite, waitNothing, waitNothing, waitFewerWrites},
		{"cache_memlimit 64", classWrite, waitNothing, waitNothing, waitFewerWrites},
		{"set a 0 0 2000000", classWrite, waitNothing, waitNothing, waitFewerWrites},
		{"add a 0 0 2000000", classTooLarge, waitNothing, waitWrites, waitWrites},
		{"flush_all", classFlushOff, waitNothing, waitWrites, waitWrites},
		{"stats conns", classListing, waitListing, waitWrites, waitWrites},
		{"lru_crawler metadump all", classDump, waitBarrier, waitWrites, waitWrites},
		{"stats cachedump 1 0", classDump, waitBarrier, waitWrites, waitWrites},
		{"lru_crawler enable", classAnswer, waitNothing, waitWrites, waitWrites},
		{"config get cluster", classMembers, waitNothing, waitWrites, waitWrites},
		{"get AmazonElastiCache:cluster", classMembers, waitNothing, waitWrites, waitWrites},
	} {
		for unanswered, want := range map[int]wait{0: test.free, 1: test.one, unansweredWritesMax: test.most} {
			f := openFake(&steps{}, "")
			f.c.loop.options.FlushDisabled = true
			f.c.loop.server.engine = &eventloop.Engine{} // without listeners
			f.c.unanswered = unanswered
			input := []byte(test.request + "\r\n")
			var req protocol.Request
			n, v := f.c.parser.Parse(input, &req)
			if v != protocol.Ready {
				t.Fatalf("%s: verdict %d", test.request, v)
			}
			k := f.c.classify(&req)
			if got := f.c.precede(&req, k, n, len(input)); k != test.class || got != want {
				t.Errorf("%s with %d unanswered writes: class %d waits for %d, want class %d, %d", test.request, unanswered, k, got, test.class, want)
			}
		}
	}
	f := openFake(&steps{}, "")
	f.c.access = lockedOut
	for command, want := range map[protocol.Command]class{protocol.Get: classLocked, protocol.Set: classLocked, protocol.Version: classAnswer} {
		if got := f.c.classify(&protocol.Request{Command: command}); got != want {
			t.Errorf("%v before a login is of class %d, want %d", command, got, want)
		}
	}
}

// TestOneWaitAfterTheOther follows a pipeline from wait to wait.
func TestOneWaitAfterTheOther(t *testing.T) {
	b := &steps{}
	f := openFake(b, "")
	f.receive("delete a\r\nget a\r\nget b\r\ntouch a 0\r\nversion\r\n")
	f.wantWait(t, "a write is passed on", waitWrites, "")
	f.receive("get c\r\n")
	f.wantWait(t, "more arrives", waitWrites, "")
	b.answer(protocol.StatusDeleted)
	f.wantWait(t, "the write is answered", waitBarrier, "DELETED\r\n")
	b.full = true
	b.l.BarriersDone(1, protocol.StatusOK)
	b.l.ResultsEnd()
	f.wantWait(t, "the barrier is answered", waitBackend, "VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n")
	b.l.ResultsEnd()
	f.wantWait(t, "the backend is still full", waitBackend, "")
	b.full = false
	b.l.ResultsEnd()
	f.wantWait(t, "the backend has room", waitWrites, "")
	b.granted = true
	b.answer(protocol.StatusTouched)
	f.wantWait(t, "all is answered", waitNothing, "TOUCHED\r\nVERSION \r\nEND\r\n")
	if f.Buffered() > 0 || f.c.unanswered > 0 {
		t.Errorf("%d bytes of input and %d writes are left", f.Buffered(), f.c.unanswered)
	}
}

// TestTooMuchIsOwed: writes whose answers will be large wait for those before them.
func TestTooMuchIsOwed(t *testing.T) {
	b := &steps{valueBytes: outboundBytesMax/2 + 1}
	f := openFake(b, "")
	f.receive(strings.Repeat("gat 0 a\r\n", 3) + "delete a\r\n")
	f.wantWait(t, "two are passed on", waitFewerWrites, "")
	if f.c.unanswered != 2 {
		t.Fatalf("%d writes are unanswered, want 2", f.c.unanswered)
	}
	b.answer(protocol.StatusMiss)
	f.wantWait(t, "one is answered", waitFewerWrites, "END\r\n")
	b.answer(protocol.StatusMiss)
	b.valueBytes = 0
	b.answer(protocol.StatusMiss)
	f.wantWait(t, "all gats are answered", waitNothing, "END\r\nEND\r\n")
	b.answer(protocol.StatusDeleted)
	if f.c.unanswered != 0 || f.c.owed != 0 {
		t.Errorf("%d writes and %d bytes are owed", f.c.unanswered, f.c.owed)
	}
}

// TestTooManyUnansweredWrites: the next goes on with the first answer.
func TestTooManyUnansweredWrites(t *testing.T) {
	b := &steps{}
	f := openFake(b, "")
	f.receive(strings.Repeat("delete a\r\n", unansweredWritesMax+1))
	f.wantWait(t, "the bound is reached", waitFewerWrites, "")
	b.answer(protocol.StatusDeleted)
	f.wantWait(t, "one is answered", waitNothing, "DELETED\r\n")
	if f.c.unanswered != unansweredWritesMax {
		t.Errorf("%d writes are unanswered, want %d", f.c.unanswered, unansweredWritesMax)
	}
}

// TestClientThatLags: it is served again when it has caught up, and what arrives
// meanwhile pauses it.
func TestClientThatLags(t *testing.T) {
	f := openFake(&steps{granted: true}, "")
	f.waiting = outboundBytesMax + 1
	f.receive("get a\r\n")
	f.wantWait(t, "a reply is sent", waitNothing, "VALUE a 0 1\r\nx\r\nEND\r\n")
	f.receive("get none\r\n")
	f.wantWait(t, "the client has not taken it", waitClient, "")
	if f.limit != outboundBytesMax/2 || f.paused {
		t.Errorf("notified at %d bytes, paused %t", f.limit, f.paused)
	}
	f.receive(strings.Repeat("x", pipelineBytesMax))
	if !f.paused {
		t.Error("a client that lags and sends more is not paused")
	}
	f.waiting = outboundBytesMax / 2
	f.input = f.input[:len("get a\r\nget none\r\n")]
	f.handler.Writable()
	f.wantWait(t, "the client has caught up", waitNothing, "END\r\n")
	if f.paused {
		t.Error("a client that has caught up is paused")
	}
}

// TestEndOfInput closes a connection when everything is answered and taken.
func TestEndOfInput(t *testing.T) {
	b := &steps{}
	f := openFake(b, "")
	f.receive("delete a\r\nversion\r\nget unfinis")
	f.handler.InputEnded()
	if f.closed {
		t.Fatal("closed before everything was answered")
	}
	f.waiting = 5
	b.answer(protocol.StatusDeleted)
	f.wantWait(t, "all is answered", waitNothing, "DELETED\r\nVERSION \r\n")
	if f.closed || f.limit != 0 {
		t.Fatalf("closed %t with 5 bytes to send, notified at %d", f.closed, f.limit)
	}
	f.waiting = 0
	f.handler.Writable()
	if !f.closed || f.c.life != lifeClosed {
		t.Errorf("closed %t, life %d", f.closed, f.c.life)
	}
	f.c.serve() // as a queue of the loop may
}

// TestIdleClientWithUnreadAnswers: as any other it is closed by the idle timeout alone,
// whether it has ended its requests or not.
func TestIdleClientWithUnreadAnswers(t *testing.T) {
	for name, ended := range map[string]bool{"open": false, "ended": true} {
		t.Run(name, func(t *testing.T) {
			f := openFake(&steps{granted: true}, "")
			l := f.c.loop
			l.log = slog.New(slog.DiscardHandler)
			f.waiting = 5
			f.receive("get a\r\n")
			if ended {
				f.handler.InputEnded()
			}
			for range 1000 {
				l.Tick()
			}
			if f.closed {
				t.Fatal("cut without an idle timeout")
			}
			l.options.IdleTimeout = time.Minute
			for range 1000 {
				l.Tick()
			}
			if !f.closed {
				t.Error("the idle timeout has passed")
			}
		})
	}
}

// TestQuitWaitsForTheClient may be as slow as it likes.
func TestQuitWaitsForTheClient(t *testing.T) {
	f := openFake(&steps{granted: true}, "")
	f.waiting = outboundBytesMax + 1
	f.receive("get a\r\nget a\r\n")
	f.receive("quit\r\n")
	f.waiting = 0
	f.handler.Writable()
	if !f.closed {
		t.Error("quit did not close the connection")
	}
}
