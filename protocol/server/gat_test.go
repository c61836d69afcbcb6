package server

import (
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// openGats opens a fake connection on a backend of the items a, b and c, that tells what is
// missing and answers when it is told to.
func openGats(change ...func(b *memory)) (*fakeConn, *memory) {
	f, l := openChanging("")
	l.b.changing, l.b.tellsAbsent, l.b.delayBarriers, l.b.held = nil, true, true, true
	for _, c := range change {
		c(l.b)
	}
	return f, l.b
}

// settle has the backend answer whatever it was asked, until it is asked no more.
func (f *fakeConn) settle(b *memory) {
	for {
		f.c.loop.TurnEnd()
		if len(b.waiting) == 0 && len(f.loop.posted) == 0 {
			return
		}
		for len(b.waiting) > 0 {
			b.releaseOne()
		}
		posted := f.loop.posted
		f.loop.posted = nil
		for _, p := range posted {
			p()
		}
	}
}

// wantAll sends requests, has the backend answer all, and checks the answers and what the
// backend was asked.
func (f *fakeConn) wantAll(t *testing.T, b *memory, requests, answers string, events []string) {
	t.Helper()
	f.receive(requests)
	f.settle(b)
	if got := f.takeReplies(); got != answers {
		t.Errorf("answers %q, want %q", got, answers)
	}
	if got := b.events(); !slices.Equal(got, events) {
		t.Errorf("events %q, want %q", got, events)
	}
}

// TestMissingKeysOfGatsAreRead: what a gat would not change is read, by one barrier, and
// only the rest is written, in each protocol.
func TestMissingKeysOfGatsAreRead(t *testing.T) {
	many := strings.Repeat(" none", 1000)
	for _, c := range []struct {
		name, requests, answers string
		events                  []string
	}{
		{"all are missing", "gat 0" + many + "\r\n", "END\r\n", []string{"barrier"}},
		{"none is", "gat 0 a b\r\n", values("a", "b") + "END\r\n", []string{"write a"}},
		{"some are", "gat 0 x a y b z\r\n", values("a", "b") + "END\r\n", []string{"barrier", "write x"}},
		{"many requests", strings.Repeat("gat 0 x\r\nget y\r\n", 50), strings.Repeat("END\r\n", 100), []string{"barrier"}},
		{"a write before", "delete a\r\ngat 0 a\r\n", "DELETED\r\nEND\r\n", []string{"write a", "write a"}},
		{"meta", "mg x T0 v k\r\nmg a T0 v\r\nmg y T0 v q\r\nmn\r\n", "EN kx\r\nVA 1\r\nx\r\nMN\r\n", []string{"barrier", "write a", "write y"}},
		{"binary", packet(0x1d, "x", "", 0, 0, 0, 0), answer(0x1d, 1, 0, "Not found"), []string{"barrier"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, b := openGats()
			f.wantAll(t, b, c.requests, c.answers, c.events)
		})
	}
}

// TestWhatSeemedMissingIsWritten: an item that comes before the barrier is touched, and one
// that is changing is, too.
func TestWhatSeemedMissingIsWritten(t *testing.T) {
	f, b := openGats()
	f.receive("gat 0 x y\r\n")
	b.set(func(b *memory) { b.items["y"] = storedItem{value: []byte("x")} })
	f.settle(b)
	f.wantWait(t, "after the barrier", waitNothing, values("y")+"END\r\n")

	f, b = openGats(func(b *memory) { b.changing = map[string]bool{"x": true} })
	f.receive("gat 0 x y\r\n")
	f.settle(b)
	f.wantWait(t, "with a lease", waitNothing, "END\r\n")
	if got := b.events(); !slices.Equal(got, []string{"barrier", "write x"}) {
		t.Errorf("events %q", got)
	}
}

// TestGatWithoutABarrier is answered with the error of the barrier, once, and so are those
// behind it; one whose items are there is written all the same.
func TestGatWithoutABarrier(t *testing.T) {
	f, b := openGats(func(b *memory) { b.barrierStatus = protocol.StatusNoLeader })
	f.receive("gat 0 x y\r\nmg x T0\r\nget x\r\ngat 0 a\r\n")
	f.settle(b)
	if got, want := f.takeReplies(), strings.Repeat("SERVER_ERROR no leader\r\n", 3)+values("a")+"END\r\n"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
	if got := b.events(); !slices.Equal(got, []string{"barrier", "write a"}) {
		t.Errorf("events %q", got)
	}
}

// TestGatsCountAlike, whether their missing keys are read or written.
func TestGatsCountAlike(t *testing.T) {
	var counts []string
	for _, tells := range []bool{false, true} {
		b := newMemory()
		b.tellsAbsent = tells
		server := start(t, b)
		c, binary := dial(t, server), dial(t, server)
		c.Send("stats detail on", "set p:a 0 0 1", "x", "gat 0 p:x p:y p:a q:z", "gats 0 q:z", "mg p:x T0 v", "mg p:a T0 v")
		c.Expect("OK", "STORED", "VALUE p:a 0 1", "x", "END", "END", "EN", "VA 1", "x")
		binary.SendBytes(packet(0x1d, "p:x", "", 0, 0, 0, 0))
		binary.ExpectBytes(answer(0x1d, 1, 0, "Not found"))
		c.Send("stats detail dump")
		got := ""
		for line := ""; line != "END"; got += line + "\n" {
			line = c.ReadLine()
		}
		all := c.Stats("")
		for _, name := range []string{"cmd_get", "cmd_touch", "get_hits", "get_misses", "touch_hits", "touch_misses"} {
			got += name + " " + all[name] + "\n"
		}
		counts = append(counts, got)
	}
	if counts[0] != counts[1] || !strings.Contains(counts[0], "touch_misses 5") {
		t.Errorf("written:\n%s\nread:\n%s", counts[0], counts[1])
	}
}
