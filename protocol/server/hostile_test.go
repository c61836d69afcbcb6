package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Input that no client should send. After it the connection continues or is closed,
// and the server serves others.

// alive checks that the server answers a client that behaves.
func alive(t *testing.T, s *Server) {
	t.Helper()
	c := dial(t, s)
	c.Send("version")
	c.Expect("VERSION 1.6.45")
	_ = c.Close()
}

// TestKeysAtTheLimit: 250 bytes are a valid key and 251 are not, in every command.
func TestKeysAtTheLimit(t *testing.T) {
	s := start(t, newMemory())
	longest, longer := strings.Repeat("k", 250), strings.Repeat("k", 251)
	const bad = "CLIENT_ERROR bad command line format"
	c := dial(t, s)
	c.Send("set "+longest+" 0 0 1", "x", "get "+longest, "mg "+longest+" s k", "delete "+longest)
	c.Expect("STORED", "VALUE "+longest+" 0 1", "x", "END", "HD s1 k"+longest, "DELETED")
	c.Send("set "+longer+" 0 0 1", "x", "ms "+longer+" 1", "x", "get "+longer, "get a "+longer, "gat 0 "+longer, "mg "+longer,
		"md "+longer, "ma "+longer, "me "+longer, "touch "+longer+" 0", "delete "+longer, "incr "+longer+" 1", "version")
	for range 6 {
		c.Expect(bad)
	}
	c.Expect(bad, "CLIENT_ERROR invalid or duplicate flag", bad, bad, bad, bad, "VERSION 1.6.45")

	c = dial(t, s)
	c.SendBytes(packet(0x01, longest, "x", make([]byte, 8)...) + packet(0x00, longest, "") + packet(0x00, longer, ""))
	hit := []byte(answer(0x00, 0, 2, "\x00\x00\x00\x00x"))
	hit[4] = 4
	c.ExpectBytes(answer(0x01, 0, 2, "") + string(hit) + answer(0x00, 4, 0, "Invalid arguments"))
	c.ExpectClosed()
	alive(t, s)
}

// TestLinesAtTheLimit: only a line that begins like a multiget may be longer.
func TestLinesAtTheLimit(t *testing.T) {
	s := start(t, newMemory())
	for _, begun := range []string{
		strings.Repeat("x", 2049), "set " + strings.Repeat("k", 2045), "mg k " + strings.Repeat("v", 2044), " get " + strings.Repeat(" k", 2044),
	} {
		c := dial(t, s)
		c.SendBytes(begun)
		c.ExpectClosed()
	}
	c := dial(t, s)
	c.SendBytes("get" + strings.Repeat(" k", 100_000) + "\r\n")
	c.Expect("END")
	_ = c.Close()

	c = dial(t, s) // more than any multiget
	_, err := io.Copy(c, io.LimitReader(endless{}, 64<<20))
	if rest, readErr := io.ReadAll(c); err == nil && (readErr == nil || len(rest) > 0) {
		t.Errorf("64 MiB of a get were taken, and answered %.100q", rest)
	}
	alive(t, s)
}

// endless is a get that does not end.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("get ", len(p)/4+1)), nil }

// TestHugeMultiget: an answer that is too long to be buffered is sent in parts.
func TestHugeMultiget(t *testing.T) {
	const keys = 20_000
	b := newMemory()
	value := strings.Repeat("v", 10_000)
	b.items["a"] = storedItem{value: []byte(value)}
	s := start(t, b)
	c := dial(t, s)
	go func() { _, _ = io.WriteString(c, "get"+strings.Repeat(" a none", keys)+"\r\n") }() // an error shows in the replies
	block := fmt.Sprintf("VALUE a 0 %d\r\n%s\r\n", len(value), value)
	for range keys {
		c.ExpectBytes(block)
	}
	c.Expect("END")
}

// TestPipelineOf100000 commands of each protocol, by a client that does not read
// before it has sent them all, or can send no more.
func TestPipelineOf100000(t *testing.T) {
	const rounds = 1000 // of 99 writes and a read
	writes := func(p string) string { return strings.Repeat(p, 99) }
	for name, test := range map[string]struct{ sent, want string }{
		"text":   {writes("set a 0 0 1\r\nx\r\n") + "get a\r\n", writes("STORED\r\n") + "VALUE a 0 1\r\nx\r\nEND\r\n"},
		"meta":   {writes("ms a 1 Oq\r\nx\r\n") + "mg a v\r\n", writes("HD Oq\r\n") + "VA 1\r\nx\r\n"},
		"quiet":  {writes("ms a 1 q\r\nx\r\n") + "mg none v q\r\n", ""},
		"binary": {writes(packet(0x11, "a", "x", make([]byte, 8)...)) + packet(0x0a, "", ""), answer(0x0a, 0, 0, "")},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			b.inFlightMax = 100
			b.answerElsewhere(t)
			s := start(t, b)
			c := dial(t, s)
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(c, strings.Repeat(test.sent, rounds))
				sent <- err
			}()
			c.ExpectBytes(strings.Repeat(test.want, rounds))
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if name == "binary" {
				c.SendBytes(packet(0x07, "", ""))
				c.ExpectBytes(answer(0x07, 0, 0, ""))
				c.ExpectClosed()
			} else {
				c.Send("mn")
				c.Expect("MN")
			}
			wantNoForms(t, s)
		})
	}
}

// TestGarbage: bytes of no protocol are answered with error lines, or the connection
// is closed.
func TestGarbage(t *testing.T) {
	s := start(t, newMemory())
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(i*i*31 + i>>3)
	}
	for _, sent := range []string{
		string(noise), "\x81" + string(noise), "\x80" + string(noise), "\x80", "\x80\x01", packet(0x01, "a", "x")[:25],
		"\x00\x00\x00", "\r\n\r\n\n\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"*1\r\n$4\r\nPING\r\n", strings.Repeat("\x80", 1000), "a\x80\x00\x00\r\n", "get a\r\n\x80" + packet(0x00, "a", "")[1:] + "\r\n",
	} {
		c := dial(t, s)
		c.SendBytes(sent)
		_ = c.CloseWrite()                                 // the server may have closed already
		if _, err := io.Copy(io.Discard, c); err != nil && // a reset will do too
			!strings.Contains(err.Error(), "reset") {
			t.Errorf("%.20q: %v", sent, err)
		}
		_ = c.Close()
		alive(t, s)
	}
}

// TestMagicByteInsideText: a connection that begins as text stays text.
func TestMagicByteInsideText(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.SendBytes("set \x80key 0 0 3\r\n\x80\x01\x02\r\n\x80\x00\r\nget \x80key\r\n")
	c.ExpectBytes("STORED\r\nERROR\r\nVALUE \x80key 0 3\r\n\x80\x01\x02\r\nEND\r\n")
}

// TestValuesThatLookLikeCommands are values.
func TestValuesThatLookLikeCommands(t *testing.T) {
	s := start(t, newMemory())
	value := "quit\r\nset a 0 0 1\r\nx\r\nmn\r\n" + packet(0x07, "", "") + "VALUE a 0 1\r\nEND"
	c := dial(t, s)
	c.SendBytes(fmt.Sprintf("set a 0 0 %d\r\n%s\r\nms a %d MA\r\n%s\r\nget a\r\n", len(value), value, len(value), value))
	c.ExpectBytes(fmt.Sprintf("STORED\r\nHD\r\nVALUE a 0 %d\r\n%s%s\r\nEND\r\n", 2*len(value), value, value))

	c = dial(t, s)
	c.SendBytes(packet(0x01, "b", value, make([]byte, 8)...) + packet(0x0a, "", ""))
	c.ExpectBytes(answer(0x01, 0, 3, "") + answer(0x0a, 0, 0, ""))
}

// TestConnectionDroppedInTheMiddleOfAValue: nothing of it is stored.
func TestConnectionDroppedInTheMiddleOfAValue(t *testing.T) {
	b := newMemory()
	s := start(t, b)
	whole := packet(0x01, "a", strings.Repeat("v", 100_000), make([]byte, 8)...)
	for _, sent := range []string{"set a 0 0 100000\r\n" + strings.Repeat("v", 50_000), "ms a 5\r\nvv", "set a 0 0 1\r\nv", "set a 0 0 1\r\nv\r", whole[:30], whole[:90_000]} {
		for _, reset := range []bool{false, true} {
			c := dial(t, s)
			c.SendBytes(sent)
			if reset {
				_ = c.SetLinger(0)
			}
			_ = c.Close()
		}
	}
	await(t, "the connections are gone", func() bool { return s.engine.Counts().Open == 0 })
	if events := b.events(); len(events) > 0 {
		t.Errorf("the backend was asked for %q", events)
	}
}

// TestLengthsThatLie: if fewer bytes come than were declared, the server waits. A
// length beyond the limits is refused before anything is kept.
func TestLengthsThatLie(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) { o.PartialTimeout = 50 * time.Millisecond })
	liar := func(body uint32) string {
		p := []byte(packet(0x01, "a", "x", make([]byte, 8)...))
		binary.BigEndian.PutUint32(p[8:], body)
		return string(p)
	}
	for _, test := range []struct{ sent, want string }{
		{"set a 0 0 2147483645\r\nxx", "SERVER_ERROR object too large for cache\r\n"},
		{"ms a 2147483645\r\nxx", "SERVER_ERROR object too large for cache\r\n"},
		{"set a 0 0 1000000\r\nxx", ""},
		{liar(1 << 30), answer(0x01, 3, 0, "Too large.")},
		{liar(1<<32 - 1), answer(0x01, 4, 0, "Invalid arguments")},
		{liar(3), answer(0x01, 0x81, 0, "Unknown command")},
		{liar(100_000), ""},
	} {
		c := dial(t, s)
		c.SendBytes(test.sent)
		c.ExpectBytes(test.want)
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.30q: then %.100q, %v", test.sent, got, err)
		}
	}
	alive(t, s)
}

// TestSlowSendersHoldUpNobody: clients that send byte by byte do not delay others.
func TestSlowSendersHoldUpNobody(t *testing.T) {
	s := start(t, newMemory())
	slow, slower, fast := dial(t, s), dial(t, s), dial(t, s)
	text, packets := "ms a 3 c\r\nxyz\r\nmg a v\r\n", packet(0x01, "b", "x", make([]byte, 8)...)+packet(0x0a, "", "")
	for i := range max(len(text), len(packets)) {
		if i < len(text) {
			slow.SendBytes(text[i : i+1])
		}
		if i < len(packets) {
			slower.SendBytes(packets[i : i+1])
		}
		fast.Send("mn")
		fast.Expect("MN")
	}
	slow.Expect("HD c1", "VA 3", "xyz")
	slower.ExpectBytes(answer(0x01, 0, 2, "") + answer(0x0a, 0, 0, ""))
}
