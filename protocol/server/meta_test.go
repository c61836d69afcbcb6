package server

import (
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// A pipeline of text and meta, and its replies: each read sees the writes before it,
// and reads that become writes are answered in order.
const (
	metaRequests = "mg a v\r\nms a 1 F1 c\r\nx\r\nmg a v f c k Oone\r\nget a\r\nms a 1 q\r\ny\r\nmg a v\r\n" +
		"mg new N30 v\r\nmg new N30 v\r\nmg none v q\r\nmn\r\nma n\r\nset n 0 0 1\r\n5\r\nma n v D6 Otwo k\r\n" +
		"mg n R9 v\r\nmg n R9 v\r\nmd n q\r\nmd n k\r\nmg n k Othree\r\nmg a T9 v\r\nmg a v y\r\nme none\r\nversion\r\n"
	metaReplies = "EN\r\nHD c1\r\nVA 1 f1 c1 ka Oone\r\nx\r\nVALUE a 1 1\r\nx\r\nEND\r\nVA 1\r\ny\r\n" +
		"VA 0 W\r\n\r\nVA 0 Z\r\n\r\nMN\r\nNF\r\nSTORED\r\nVA 2 Otwo kn\r\n11\r\n" +
		"VA 2 W\r\n11\r\nVA 2 Z\r\n11\r\nNF kn\r\nEN kn Othree\r\nVA 1\r\ny\r\nCLIENT_ERROR invalid flag\r\nEN\r\nVERSION 1.6.45\r\n"
)

func TestMetaRepliesLeaveInTheOrderOfRequests(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			s := start(t, b)
			c := dial(t, s)
			for _, pieces := range []int{1, 7, 64} {
				b.set(func(b *memory) { b.cas = 0; clear(b.items) })
				for piece := range slices.Chunk([]byte(metaRequests), len(metaRequests)/pieces) {
					c.SendBytes(string(piece))
				}
				c.ExpectBytes(metaReplies)
			}
			wantNoForms(t, s)
		})
	}
}

func TestBinaryRepliesLeaveInTheOrderOfRequests(t *testing.T) {
	flags := []byte{0, 0, 0, 5, 0, 0, 0, 0}
	requests := packet(0x00, "a", "") + packet(0x01, "a", "x", flags...) + packet(0x0d, "none", "") +
		packet(0x0d, "a", "") + packet(0x11, "a", "y", flags...) + packet(0x00, "a", "") +
		packet(0x1d, "a", "", 0, 0, 0, 9) + packet(0x14, "a", "") + packet(0x04, "a", "") +
		packet(0x0a, "", "") + packet(0x0b, "", "") + packet(0x99, "", "") + packet(0x1b, "", "", 0, 0, 0, 1) + packet(0x07, "", "")
	hit := func(opcode uint8, key, value string, cas uint64) string {
		p := []byte(answer(opcode, 0, cas, "\x00\x00\x00\x05"+key+value))
		p[3], p[4] = byte(len(key)), 4
		return string(p)
	}
	replies := answer(0x00, 1, 0, "Not found") + answer(0x01, 0, 1, "") +
		hit(0x0d, "a", "x", 1) + hit(0x00, "", "y", 2) +
		hit(0x1d, "", "y", 2) + answer(0x04, 1, 0, "Not found") +
		answer(0x0a, 0, 0, "") + answer(0x0b, 0, 0, "1.6.45") + answer(0x99, 0x81, 0, "Unknown command") + answer(0x1b, 0, 0, "") + answer(0x07, 0, 0, "")
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			s := start(t, b)
			for _, pieces := range []int{1, 7, 64} {
				b.set(func(b *memory) { b.cas = 0; clear(b.items) })
				c := dial(t, s)
				for piece := range slices.Chunk([]byte(requests), len(requests)/pieces) {
					c.SendBytes(string(piece))
				}
				c.ExpectBytes(replies)
				c.ExpectClosed()
			}
			wantNoForms(t, s)
		})
	}
}

// wantNoForms checks that no form is kept.
func wantNoForms(t *testing.T, s *Server) {
	t.Helper()
	onLoop(s, func(l *loop) {
		if l.forms.queue.n != 0 || l.forms.head != 0 || len(l.forms.bytes) != 0 {
			t.Errorf("%d forms with %d bytes are kept, want none", l.forms.queue.n, len(l.forms.bytes)-l.forms.head)
		}
	})
}

// TestReadThatBecomesAWriteIsTriedAgain when the backend has room.
func TestReadThatBecomesAWriteIsTriedAgain(t *testing.T) {
	b := newMemory()
	b.inFlightMax = 1
	b.hold()
	s := start(t, b)
	other, c := dial(t, s), dial(t, s)
	other.Send("set b 0 0 1", "x")
	b.awaitEvents(1)
	c.Send("mg a N30 v k", "mg a v")
	await(t, "the write is refused for now", func() (blocked bool) {
		onLoop(s, func(l *loop) { blocked = len(l.blocked) == 1 })
		return blocked
	})
	b.release()
	other.Expect("STORED")
	c.Expect("VA 0 ka W", "", "VA 0 Z", "")
}

// TestRefusedReadsAreAnsweredInTheirForm: quiet ones too, because an error is not a
// miss.
func TestRefusedReadsAreAnsweredInTheirForm(t *testing.T) {
	b := newMemory()
	b.delayBarriers, b.barrierStatus = true, protocol.StatusNoLeader
	s := start(t, b)
	c := dial(t, s)
	c.Send("mg a v q", "mn", "mg a v")
	c.Expect("SERVER_ERROR no leader", "MN", "SERVER_ERROR no leader")

	c = dial(t, s)
	c.SendBytes(packet(0x09, "a", "") + packet(0x0a, "", ""))
	c.ExpectBytes(answer(0x09, 0x86, 0, "no leader") + answer(0x0a, 0, 0, ""))
}

func TestTooLargeStoresOfMetaAndBinary(t *testing.T) {
	b := newMemory()
	s := start(t, b, func(o *Options) { o.ItemBytesMax = 1000 })
	value := strings.Repeat("v", 2000)
	c := dial(t, s)
	c.Send("set a 0 0 1", "x", "ms a 2000 ME", value, "mg a", "set b 0 0 1", "x", "add b 0 0 2000", value, "mg b")
	c.Expect("STORED", "SERVER_ERROR object too large for cache", "EN", "STORED", "SERVER_ERROR object too large for cache", "HD")
	wantStats(t, c, "", map[string]string{"store_too_large": "2"})

	c = dial(t, s)
	c.SendBytes(packet(0x12, "b", value, make([]byte, 8)...) + packet(0x11, "b", value, make([]byte, 8)...) + packet(0x0c, "b", ""))
	miss := []byte(answer(0x0c, 1, 0, "b"))
	miss[3] = 1
	c.ExpectBytes(answer(0x12, 3, 0, "Too large.") + answer(0x11, 3, 0, "Too large.") + string(miss))
}

func TestValueForAClientThatReadsNothing(t *testing.T) {
	b := newMemory()
	b.items["big"], b.grown = storedItem{value: []byte(strings.Repeat("v", 1<<20))}, true
	s := start(t, b)
	c := dial(t, s)
	c.SendBytes(strings.Repeat("mg big T0 v\r\n", 100))
	awaitConn(t, s, "all are answered", func(c *conn) bool { return c.out.waiting > 0 && c.unanswered == 0 && c.wait == waitNothing })
	c.Send("mn")
	hits, refused := 0, 0
	for line := ""; line != "MN"; line = c.ReadLine() {
		switch {
		case strings.HasPrefix(line, "VA "):
			hits++
			c.Expect(strings.Repeat("v", 1<<20))
		case strings.HasPrefix(line, "SERVER_ERROR "):
			refused++
		}
	}
	if hits < 12 || refused == 0 || hits+refused != 100 {
		t.Errorf("%d hits and %d errors", hits, refused)
	}
}

func TestStatsInBinary(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.SendBytes(packet(0x10, "reset", "") + packet(0x10, "nonsense", "") + packet(0x10, "settings", "") + packet(0x0a, "", ""))
	c.ExpectBytes(answer(0x10, 0, 0, "") + answer(0x10, 1, 0, "Not found"))
	c.SendBytes(packet(0x07, "", ""))
	all := c.ReadAll()
	end := answer(0x10, 0, 0, "") + answer(0x0a, 0, 0, "") + answer(0x07, 0, 0, "")
	if !strings.Contains(all, "maxconns1024") || !strings.HasSuffix(all, end) {
		t.Errorf("settings are %.200q", all)
	}
}

func TestFlushAllMayBeForbiddenInBinary(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.FlushDisabled = true }))
	c.SendBytes(packet(0x08, "", "") + packet(0x0a, "", ""))
	c.ExpectBytes(answer(0x08, 0x20, 0, "Auth failure.") + answer(0x0a, 0, 0, ""))
}

// TestStatsCountMetaAndBinary: like memcached 1.6.45, with the same requests.
func TestStatsCountMetaAndBinary(t *testing.T) {
	s := start(t, newMemory())
	c := dial(t, s)
	c.Send("ms a 1", "x", "ms a 1 ME", "x", "mg a", "mg b", "mg c N9", "mg a T9", "mg b T9", "me a", "me b", "mn",
		"md a", "md a", "ma n", "ms n 1", "1", "ma n", "ma n MD", "ma b MD")
	c.Expect("HD", "NS", "HD", "EN", "HD W", "HD", "EN")
	c.ReadLine()
	c.Expect("EN", "MN", "HD", "NF", "NF", "HD", "HD", "HD", "NF")
	wantStats(t, c, "", map[string]string{
		"cmd_get": "4", "get_hits": "2", "get_misses": "2", "cmd_set": "3", "cmd_touch": "1", "touch_hits": "1", "touch_misses": "0",
		"cmd_meta": "2", "delete_hits": "1", "delete_misses": "1", "incr_hits": "1", "incr_misses": "1", "decr_hits": "1", "decr_misses": "1",
	})
	c.Send("stats reset")
	c.Expect("RESET")
	binary := dial(t, s)
	binary.SendBytes(packet(0x11, "a", "x", make([]byte, 8)...) + packet(0x09, "a", "") + packet(0x09, "b", "") +
		packet(0x1e, "a", "", 0, 0, 0, 9) + packet(0x1c, "b", "", 0, 0, 0, 9) + packet(0x14, "a", "") + packet(0x17, "", ""))
	binary.ReadAll()
	wantStats(t, c, "", map[string]string{
		"cmd_get": "2", "get_hits": "1", "get_misses": "1", "cmd_set": "1", "cmd_touch": "2", "touch_hits": "1", "touch_misses": "1",
		"cmd_meta": "0", "delete_hits": "1",
	})
}
