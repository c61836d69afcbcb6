package server

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testclient"
	"raftcached/protocol"
)

// readBytes is what one read of the event loop may add to a connection's input.
const readBytes = 64 << 10

func TestSlowReaderIsNotReadFromAndCostsBoundedMemory(t *testing.T) {
	const valueBytes, gets = 256 << 10, 200 // 50 MiB of replies
	for _, command := range []string{"get big", "get" + strings.Repeat(" big", gets)} {
		t.Run(command[:7], func(t *testing.T) {
			b := newMemory()
			value := strings.Repeat("v", valueBytes)
			b.items["big"] = storedItem{value: []byte(value)}
			s := start(t, b)
			c := dial(t, s)
			requests := gets / strings.Count(command, "big")
			c.SendBytes(strings.Repeat(command+"\r\n", requests))
			awaitConn(t, s, "the server waits for the client", func(c *conn) bool { return c.wait == waitClient })
			onLoop(s, func(l *loop) {
				for c := range l.conns.all() {
					if most := outboundBytesMax + outChunkBytes + valueBytes + 100; c.out.waiting > most || len(c.out.replies) > 0 {
						t.Errorf("%d bytes wait for the client and %d to be written, want at most %d and 0", c.out.waiting, len(c.out.replies), most)
					}
				}
			})

			block := fmt.Sprintf("VALUE big 0 %d\r\n%s\r\n", valueBytes, value)
			for range requests {
				for range gets / requests {
					c.ExpectBytes(block)
				}
				c.Expect("END")
			}
			c.Send("version")
			c.Expect("VERSION 1.6.45")
		})
	}
}

func TestClientThatPoursWritesIsHeldBack(t *testing.T) {
	const valueBytes, sets = 10_000, 10_000 // 100 MB
	b := newMemory()
	b.inFlightMax = 50
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	request := fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", valueBytes, strings.Repeat("v", valueBytes))
	poured := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat(request, sets))
		poured <- err
	}()
	awaitConn(t, s, "reading is paused", func(c *conn) bool { return c.wait == waitBackend && c.events.Buffered() > pipelineBytesMax })
	onLoop(s, func(l *loop) {
		for c := range l.conns.all() {
			if n, most := c.events.Buffered(), pipelineBytesMax+readBytes; n > most {
				t.Errorf("%d bytes of input are buffered, want at most %d", n, most)
			}
		}
	})
	b.release()
	c.ExpectBytes(strings.Repeat("STORED\r\n", sets))
	if err := <-poured; err != nil {
		t.Fatal(err)
	}
}

func TestClientThatPoursWritesAndNeverReadsIsHeldBack(t *testing.T) {
	s := start(t, newMemory())
	c := dial(t, s)
	poured := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat("stats settings\r\nset a 0 0 1\r\nx\r\n", 2<<20))
		poured <- err
	}()
	awaitConn(t, s, "the client does not take its replies", func(c *conn) bool { return c.out.waiting > 0 })
	for range 100 {
		onLoop(s, func(l *loop) {
			for c := range l.conns.all() {
				if out, in := c.out.waiting, c.events.Buffered(); out > outboundBytesMax+outChunkBytes || in > pipelineBytesMax+readBytes {
					t.Errorf("%d bytes of replies and %d of input are buffered", out, in)
				}
			}
		})
	}
	_ = c.Close()
	if err := <-poured; err == nil {
		t.Error("the client could send everything")
	}
	await(t, "the connection is gone", func() bool { return s.engine.Counts().Open == 0 })
}

// TestAnswersOfOneTurnAreBounded: short requests with long answers wait too when
// the client does not take the answers.
func TestAnswersOfOneTurnAreBounded(t *testing.T) {
	for name, request := range map[string]string{"text": "stats\r\n", "binary": packet(0x10, "", "")} {
		t.Run(name, func(t *testing.T) {
			s := start(t, newMemory())
			c := dial(t, s)
			poured := make(chan error, 1)
			go func() {
				_, err := io.WriteString(c, strings.Repeat(request, 64<<20/len(request)))
				poured <- err
			}()
			awaitConn(t, s, "the client does not take its replies", func(c *conn) bool { return c.out.waiting > 0 })
			onLoop(s, func(l *loop) {
				for c := range l.conns.all() {
					if most := outboundBytesMax + outChunkBytes + 10_000; c.out.waiting > most {
						t.Errorf("%d bytes wait for the client, want at most %d", c.out.waiting, most)
					}
				}
			})
			_ = c.Close()
			if err := <-poured; err == nil {
				t.Error("the client could send everything")
			}
		})
	}
}

func TestLargeItemsPassInPieces(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	value := strings.Repeat("v", 1<<20-512)
	c.Send(fmt.Sprintf("set a 0 0 %d", len(value)), value, "get a")
	c.Expect("STORED", fmt.Sprintf("VALUE a 0 %d", len(value)), value, "END")

	value = strings.Repeat("v", 3<<20)
	c.Send(fmt.Sprintf("set a 0 0 %d", len(value)), value, "get a", "version")
	c.Expect("SERVER_ERROR object too large for cache", "END", "VERSION 1.6.45")
}

func TestTooLargeWriteIsTriedAgainAfterBackPressure(t *testing.T) {
	b := newMemory()
	b.inFlightMax = 1
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	value := strings.Repeat("v", 2<<20)
	c.Send("set b 0 0 1", "x", fmt.Sprintf("set a 0 0 %d", len(value)))
	awaitConn(t, s, "the first write is taken", func(c *conn) bool { return c.unanswered == 1 })
	c.Send(value, "version")
	awaitConn(t, s, "the second write is refused for now", func(c *conn) bool { return c.wait == waitBackend })
	b.release()
	c.Expect("STORED", "SERVER_ERROR object too large for cache", "VERSION 1.6.45")
}

// TestUnreadGatsAreNotPassedOn: what a client does not read holds back its gats, so that
// their answers take no more memory than those of gets.
func TestUnreadGatsAreNotPassedOn(t *testing.T) {
	for _, request := range []string{"gat 0 big\r\n", "mg big T0 v\r\n"} {
		b := newMemory()
		b.items["big"] = storedItem{value: []byte(strings.Repeat("v", 300<<10))}
		s := start(t, b)
		c := dial(t, s)
		c.SendBytes(strings.Repeat(request, 100))
		awaitConn(t, s, "the server waits for the client", func(c *conn) bool { return c.wait == waitClient })
		onLoop(s, func(l *loop) {
			for c := range l.conns.all() {
				if most := outboundBytesMax + outChunkBytes + 2*310<<10; c.out.waiting > most || c.owed != 0 {
					t.Errorf("%q: %d bytes wait for the client, want at most %d; %d are owed", request, c.out.waiting, most, c.owed)
				}
			}
		})
		c.Send("quit")
		if answers := strings.Count(c.ReadAll(), "VA"); answers != 100 {
			t.Errorf("%q: %d answers, want 100", request, answers)
		}
	}
}

func TestGatOfMoreThanAClientMayLeaveUnread(t *testing.T) {
	b := newMemory()
	value := strings.Repeat("v", 1<<20)
	b.items["big"], b.grown = storedItem{value: []byte(value)}, true
	s := start(t, b)
	c := dial(t, s)
	c.Send("gat 0" + strings.Repeat(" big", 100))
	awaitConn(t, s, "the gat is answered", func(c *conn) bool { return c.out.waiting > 0 && c.unanswered == 0 })
	c.Send("version")
	block := fmt.Sprintf("VALUE big 0 %d\r\n%s\r\n", len(value), value)
	for range 12 {
		c.ExpectBytes(block)
	}
	for {
		line := c.ReadLine()
		if strings.HasPrefix(line, "SERVER_ERROR ") {
			break
		}
		c.ExpectBytes(strings.SplitAfterN(block, "\r\n", 2)[1])
	}
	c.Expect("VERSION 1.6.45")
}

func TestUnansweredWritesOfAConnectionAreBounded(t *testing.T) {
	b := newMemory()
	b.hold()
	s := start(t, b)
	c := dial(t, s)
	const more = 100
	c.SendBytes(strings.Repeat("touch a 0\r\n", unansweredWritesMax+more))
	awaitConn(t, s, "the bound is reached", func(c *conn) bool { return c.wait == waitFewerWrites && c.unanswered == unansweredWritesMax })
	b.release()
	c.ExpectBytes(strings.Repeat("NOT_FOUND\r\n", unansweredWritesMax+more))
}

func TestConnectionsOverTheLimitAreToldSo(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) { o.MaxConnections = 2 })
	first, second := dial(t, s), dial(t, s)
	for _, c := range []*testclient.Client{first, second} {
		c.Send("version")
		c.Expect("VERSION 1.6.45")
	}
	third := dial(t, s)
	third.Expect("ERROR Too many open connections")
	third.ExpectClosed()

	_ = second.Close()
	await(t, "the second connection is gone", func() bool { return s.engine.Counts().Open == 1 })
	fourth := dial(t, s)
	stats := fourth.Stats("")
	for name, want := range map[string]string{"curr_connections": "2", "total_connections": "3", "rejected_connections": "1", "max_connections": "2"} {
		if stats[name] != want {
			t.Errorf("STAT %s %s, want %s", name, stats[name], want)
		}
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	b := newMemory()
	s := start(t, b, func(o *Options) { o.IdleTimeout = 20 * time.Millisecond })
	begin := time.Now()
	idle := dial(t, s)
	idle.ExpectClosed()
	if passed := time.Since(begin); passed < s.options.IdleTimeout {
		t.Errorf("closed after %v, want %v or more", passed, s.options.IdleTimeout)
	}

	b.hold() // a connection that waits for its answer is not idle
	waiting := dial(t, s)
	waiting.Send("set a 0 0 1", "x")
	b.awaitEvents(1)
	sweep := func() (n uint64) { onLoop(s, func(l *loop) { n = l.sweeps }); return n }
	for seen := sweep(); sweep() < seen+20; {
		b.awaitEvents(1)
	}
	b.release()
	waiting.Expect("STORED")
	waiting.ExpectClosed()
}

func TestUnfinishedCommandIsClosed(t *testing.T) {
	for name, begun := range map[string]string{"line": "get a", "data": "set a 0 0 10\r\nxx", "swallowed": "set a 0 0 2000\r\nxx", "to be swallowed": "set a 0 0 2000\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, newMemory(), func(o *Options) { o.PartialTimeout, o.ItemBytesMax = 20*time.Millisecond, 1000 })
			c, quiet := dial(t, s), dial(t, s)
			quiet.Send("set a 0 0 2000", strings.Repeat("v", 2000))
			quiet.Expect("SERVER_ERROR object too large for cache")
			c.Send("version")
			c.Expect("VERSION 1.6.45")
			c.SendBytes(begun)
			if strings.HasSuffix(name, "swallowed") {
				c.Expect("SERVER_ERROR object too large for cache")
			}
			c.ExpectClosed()
			quiet.Send("version")
			quiet.Expect("VERSION 1.6.45")
		})
	}
}

func TestConnectionThatClosesLeavesItsWaitersBehind(t *testing.T) {
	b := newMemory()
	b.delayBarriers = true
	b.hold()
	s := start(t, b)
	for i, request := range []string{"set a 0 0 1\r\nx\r\n", "gat 0 a b c\r\n", "get a\r\n"} {
		c := dial(t, s)
		c.SendBytes(request)
		b.awaitEvents(i + 1)
		if err := c.SetLinger(0); err != nil { // close with a reset
			t.Fatal(err)
		}
		_ = c.Close()
	}
	await(t, "the connections are gone", func() bool { return s.engine.Counts().Open == 0 })
	survivor := dial(t, s)
	survivor.Send("get a", "set b 0 0 1", "y")
	b.awaitEvents(4)
	b.release()
	survivor.Expect("VALUE a 0 1", "x", "END", "STORED")
	onLoop(s, func(l *loop) {
		if l.writes.n != 0 || l.barriers.n != 0 {
			t.Errorf("%d writes and %d barriers are waited for, want none", l.writes.n, l.barriers.n)
		}
	})
}

func TestEndOfInputDoesNotLoseAnswers(t *testing.T) {
	const gets = 40
	value := strings.Repeat("v", 200<<10)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			b.items["big"] = storedItem{value: []byte(value)}
			b.hold()
			s := start(t, b)
			c := dial(t, s)
			c.SendBytes("set a 0 0 1\r\nx\r\nset b 0 0 1\r\ny\r\nget a b\r\n" + strings.Repeat("get big\r\n", gets) + "get unfinished")
			b.awaitEvents(1)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			awaitConn(t, s, "the end of input was seen", func(c *conn) bool { return c.life == lifeEnding })
			b.release()
			c.Expect("STORED", "STORED", "VALUE a 0 1", "x", "VALUE b 0 1", "y", "END")
			for range gets {
				c.Expect(fmt.Sprintf("VALUE big 0 %d", len(value)), value, "END")
			}
			c.ExpectClosed()
			await(t, "the connection is gone", func() bool { return s.engine.Counts().Open == 0 })
		})
	}
}

func TestEndOfInputWaitsForASlowReader(t *testing.T) {
	b := newMemory()
	value := strings.Repeat("v", 1<<20)
	b.items["big"] = storedItem{value: []byte(value)}
	s := start(t, b)
	c := dial(t, s)
	c.SendBytes(strings.Repeat("get big\r\n", 20) + "quit\r\n")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	awaitConn(t, s, "the server waits for the client", func(c *conn) bool { return c.out.waiting > 0 })
	for range 20 {
		c.Expect(fmt.Sprintf("VALUE big 0 %d", len(value)), value, "END")
	}
	c.ExpectClosed()
}

func TestErrorStatusIsOneLine(t *testing.T) {
	b := newMemory()
	b.writeStatus = protocol.StatusNoLeader
	c := dial(t, start(t, b))
	c.Send("set a 0 0 1", "x", "incr a 1", "version")
	for range 2 {
		if got := c.ReadLine(); !strings.HasPrefix(got, "SERVER_ERROR ") {
			t.Errorf("write without a leader is answered %q", got)
		}
	}
	c.Expect("VERSION 1.6.45")
}

// TestLargeWriteGetsItsTurn: a write for which there is no room keeps its place, and
// writes that come after it wait, however small they are.
func TestLargeWriteGetsItsTurn(t *testing.T) {
	b := newMemory()
	b.inFlightMax, b.held = 8, true
	b.items["a"], b.items["b"] = storedItem{value: []byte("1")}, storedItem{}
	s := start(t, b)
	small, large := dial(t, s), dial(t, s)
	small.Send(slices.Repeat([]string{"touch b 0"}, 100)...)
	awaitConn(t, s, "small writes wait for room", func(c *conn) bool { return c.wait == waitBackend })
	large.Send("gat 0" + strings.Repeat(" a", 8)) // it has room when nothing else is in flight
	awaitConn(t, s, "the large one waits for room", func(c *conn) bool { return c.wait == waitBackend && c.unanswered == 0 })
	b.release()
	large.Expect(append(slices.Repeat([]string{"VALUE a 0 1", "1"}, 8), "END")...)
	small.Expect(slices.Repeat([]string{"TOUCHED"}, 100)...)
	before := 0
	for _, event := range b.events() {
		if event == "write a" {
			break
		}
		before++
	}
	if before > 20 {
		t.Errorf("%d events come before the large write", before)
	}
}
