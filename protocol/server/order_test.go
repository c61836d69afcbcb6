package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// modes are the ways in which a backend may answer.
var modes = map[string]func(t *testing.T, b *memory){
	"barriers at once":    func(_ *testing.T, _ *memory) {},
	"barriers later":      func(_ *testing.T, b *memory) { b.delayBarriers = true },
	"one write in flight": func(_ *testing.T, b *memory) { b.inFlightMax = 1; b.delayBarriers = true },
	"three in flight":     func(_ *testing.T, b *memory) { b.inFlightMax = 3 },
	"answers from another goroutine": func(t *testing.T, b *memory) {
		b.delayBarriers = true
		b.answerElsewhere(t)
	},
	"reads at once, writes from another goroutine": func(t *testing.T, b *memory) {
		b.inFlightMax = 10
		b.answerElsewhere(t)
	},
	"reads join writes":      func(_ *testing.T, b *memory) { b.joins = true },
	"some reads join writes": func(_ *testing.T, b *memory) { b.joins, b.inFlightMax, b.delayBarriers = true, 5, true },
	"reads join writes of another goroutine": func(t *testing.T, b *memory) {
		b.joins, b.delayBarriers, b.tellsAbsent = true, true, true
		b.answerElsewhere(t)
	},
	"missing keys of gats are read at once": func(_ *testing.T, b *memory) { b.tellsAbsent = true },
	"missing keys of gats are read later": func(t *testing.T, b *memory) {
		b.tellsAbsent, b.delayBarriers, b.inFlightMax, b.gatKeysMax = true, true, 3, 1
		b.answerElsewhere(t)
	},
}

// A pipeline of all commands, and memcached's answers.
const (
	mixedRequests = "get a\r\nset a 1 0 1\r\nx\r\nget a b\r\nset a 0 0 1 noreply\r\ny\r\nget a\r\n" +
		"incr n 1\r\nset n 0 0 1\r\n5\r\nincr n 6\r\ndecr n 1 noreply\r\ngets n\r\nversion\r\nbogus\r\n" +
		"append a 0 0 1\r\nz\r\nget a\r\nget a\r\ngat 0 n none a\r\ntouch none 0\r\nverbosity 1\r\n" +
		"cas n 0 0 1 99\r\nq\r\ndelete a\r\nget a n\r\nflush_all\r\nget n\r\nadd n 0 0 2\r\nhi\r\nget n\r\n"
	mixedReplies = "END\r\nSTORED\r\nVALUE a 1 1\r\nx\r\nEND\r\nVALUE a 0 1\r\ny\r\nEND\r\n" +
		"NOT_FOUND\r\nSTORED\r\n11\r\nVALUE n 0 2 5\r\n10\r\nEND\r\nVERSION 1.6.45\r\nERROR\r\n" +
		"STORED\r\nVALUE a 0 2\r\nyz\r\nEND\r\nVALUE a 0 2\r\nyz\r\nEND\r\n" +
		"VALUE n 0 2\r\n10\r\nVALUE a 0 2\r\nyz\r\nEND\r\nNOT_FOUND\r\nOK\r\n" +
		"EXISTS\r\nDELETED\r\nVALUE n 0 2\r\n10\r\nEND\r\nOK\r\nEND\r\nSTORED\r\nVALUE n 0 2\r\nhi\r\nEND\r\n"
)

// TestGatIsPassedOnInParts: a backend that takes a few keys at a time gets the rest when
// those are answered. The client sees one answer, and after an error nothing more.
func TestGatIsPassedOnInParts(t *testing.T) {
	b := newMemory()
	b.gatKeysMax = 2
	for _, key := range []string{"a", "b", "c"} {
		b.items[key] = storedItem{value: []byte(key)}
	}
	c := dial(t, start(t, b))
	c.Send("gat 0 a none b c a", "set d 0 0 1", "d", "gats 0 d", "gat 0 a b c")
	c.Expect("VALUE a 0 1", "a", "VALUE b 0 1", "b", "VALUE c 0 1", "c", "VALUE a 0 1", "a", "END", "STORED")
	if got := c.ReadLine(); !strings.HasPrefix(got, "VALUE d 0 1 ") {
		t.Fatalf("gats: %q", got)
	}
	c.Expect("d", "END", "VALUE a 0 1", "a", "VALUE b 0 1", "b", "VALUE c 0 1", "c", "END")
	b.mu.Lock()
	b.writeStatus = protocol.StatusNoLeader
	b.mu.Unlock()
	c.Send("gat 0 a b c a b", "version")
	c.Expect("SERVER_ERROR no leader", "VERSION 1.6.45")
}

func TestRepliesLeaveInTheOrderOfRequests(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			c := dial(t, start(t, b))
			for _, pieces := range []int{1, 7, 64} {
				b.set(func(b *memory) { b.cas = 0; clear(b.items) })
				for piece := range slices.Chunk([]byte(mixedRequests), len(mixedRequests)/pieces) {
					c.SendBytes(string(piece))
				}
				c.ExpectBytes(mixedReplies)
			}
		})
	}
}

func TestLongPipelineKeepsStep(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			c := dial(t, start(t, b))
			var requests, replies strings.Builder
			for i := range 1500 {
				k, v := i%17, strings.Repeat("v", i%200)
				fmt.Fprintf(&requests, "set k%d 0 0 %d\r\n%s\r\nget k%d\r\n", k, len(v), v, k)
				fmt.Fprintf(&replies, "STORED\r\nVALUE k%d 0 %d\r\n%s\r\nEND\r\n", k, len(v), v)
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = c.Write([]byte(requests.String())) // an error shows in the replies
			}()
			c.ExpectBytes(replies.String())
			<-sent
		})
	}
}

func TestReadWaitsForWritesOfItsConnection(t *testing.T) {
	b := newMemory()
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	c.Send("set a 0 0 1", "x", "get a")
	awaitConn(t, s, "the read waits", func(c *conn) bool { return c.wait == waitWrites && c.unanswered == 1 })
	if got, want := b.events(), []string{"write a"}; !slices.Equal(got, want) {
		t.Errorf("backend was asked %q, want %q", got, want)
	}
	b.release()
	c.Expect("STORED", "VALUE a 0 1", "x", "END")
}

func TestWriteWaitsForReadsOfItsConnection(t *testing.T) {
	b := newMemory()
	b.delayBarriers = true
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	c.Send("get a", "set a 0 0 1", "x", "get a")
	awaitConn(t, s, "the write waits", func(c *conn) bool { return c.wait == waitBarrier })
	if got, want := b.awaitEvents(1), []string{"barrier"}; !slices.Equal(got, want) {
		t.Errorf("backend was asked %q, want %q", got, want)
	}
	b.release()
	c.Expect("END", "STORED", "VALUE a 0 1", "x", "END")
	if got, want := b.events(), []string{"barrier", "write a"}; !slices.Equal(got, want) {
		t.Errorf("backend was asked %q, want %q: one barrier covers all that had arrived", got, want)
	}
}

func TestBarrierDoesNotCoverBytesThatCameLater(t *testing.T) {
	b := newMemory()
	b.delayBarriers = true
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	c.Send("get a")
	awaitConn(t, s, "the barrier is asked", func(c *conn) bool { return c.wait == waitBarrier })
	b.awaitEvents(1)
	c.Send("get b")
	awaitConn(t, s, "the second read arrived", func(c *conn) bool { return c.events.Buffered() == len("get a\r\nget b\r\n") })

	b.releaseOne()
	c.Expect("END")
	if got, want := b.awaitEvents(2), []string{"barrier", "barrier"}; !slices.Equal(got, want) {
		t.Errorf("backend was asked %q, want %q", got, want)
	}
	b.release()
	c.Expect("END")
}

func TestRefusedBarrierAnswersItsReadsUpToTheNextWrite(t *testing.T) {
	b := newMemory()
	b.delayBarriers = true
	b.barrierStatus = protocol.StatusTimeout
	s := start(t, b)
	c := dial(t, s)
	c.Send("get a", "gets a b c", "set a 0 0 1", "x", "get a")
	refused := string(protocol.AppendReply(nil, protocol.Get, &protocol.Result{Status: protocol.StatusTimeout}))
	if !strings.HasPrefix(refused, "SERVER_ERROR ") {
		t.Fatalf("reply to a refused read is %q", refused)
	}
	c.ExpectBytes(refused + refused + "STORED\r\n" + refused)
	if got, want := b.events(), []string{"barrier", "write a", "barrier"}; !slices.Equal(got, want) {
		t.Errorf("backend was asked %q, want %q", got, want)
	}
}

func TestQuietWritesAreAnsweredByNothing(t *testing.T) {
	b := newMemory()
	b.writeStatus = protocol.StatusNoLeader
	c := dial(t, start(t, b))
	c.Send("set a 0 0 1 noreply", "x", "delete a noreply", "incr a 1 noreply", "touch a 0 noreply", "flush_all noreply", "version")
	c.Expect("VERSION 1.6.45")
}

func TestGatAnswersAllKeysOrOneError(t *testing.T) {
	b := newMemory()
	c := dial(t, start(t, b))
	c.Send("set a 0 0 1", "x", "set b 7 0 1", "y", "gat 0 a none b", "gats 0 b", "gat 0 none")
	c.Expect("STORED", "STORED", "VALUE a 0 1", "x", "VALUE b 7 1", "y", "END", "VALUE b 7 1 2", "y", "END", "END")

	b.set(func(b *memory) { b.writeStatus = protocol.StatusOutcomeUnknown })
	c.Send("gat 0 a b none", "version")
	if got := c.ReadLine(); !strings.HasPrefix(got, "SERVER_ERROR ") {
		t.Errorf("gat without an outcome is answered %q", got)
	}
	c.Expect("VERSION 1.6.45")
}

func TestQuitClosesAfterEarlierAnswers(t *testing.T) {
	b := newMemory()
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	c.Send("set a 0 0 1", "x", "quit", "version")
	awaitConn(t, s, "quit waits", func(c *conn) bool { return c.wait == waitWrites })
	b.release()
	c.Expect("STORED")
	c.ExpectClosed()
}

func TestConnectionsAreIndependent(t *testing.T) {
	b := newMemory()
	b.hold()
	s := start(t, b)
	writer, reader := dial(t, s), dial(t, s)
	writer.Send("set a 0 0 1", "x")
	b.awaitEvents(1)
	reader.Send("get a")
	reader.Expect("END")
	b.release()
	writer.Expect("STORED")
	reader.Send("get a")
	reader.Expect("VALUE a 0 1", "x", "END")
}
