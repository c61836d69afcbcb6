package server

import (
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// openJoining opens a fake connection on a backend of the items a, b and c, which accepts reads
// behind writes, and answers when it is told to.
func openJoining(change ...func(b *memory)) (*fakeConn, *memory) {
	return openGats(append([]func(b *memory){func(b *memory) { b.joins, b.tellsAbsent = true, false }}, change...)...)
}

// TestReadsJoinTheWritesBeforeThem: a pipeline of reads and writes is passed on at once, in its order,
// and needs no barrier.
func TestReadsJoinTheWritesBeforeThem(t *testing.T) {
	for _, c := range []struct {
		name, requests, answers string
		events                  []string
	}{
		{
			"text", "set a 0 0 1\r\ny\r\nget a\r\nset a 0 0 1\r\nx\r\nget a b none c\r\n",
			"STORED\r\nVALUE a 0 1\r\ny\r\nEND\r\nSTORED\r\n" + values("a", "b", "c") + "END\r\n",
			[]string{"write a", "read a", "write a", "read a", "read b", "read none", "read c"},
		},
		{"reads first", "get a\r\nget b\r\ndelete a\r\nget a\r\n", values("a") + "END\r\n" + values("b") + "END\r\nDELETED\r\nEND\r\n", []string{"read a", "read b", "write a", "read a"}},
		{"reads only", "get a\r\nget b\r\n", values("a") + "END\r\n" + values("b") + "END\r\n", []string{"barrier"}},
		{"no answer wanted", "delete a noreply\r\nget a\r\nget b\r\n", "END\r\n" + values("b") + "END\r\n", []string{"write a", "read a", "read b"}},
		{"gat", "gat 0 a\r\nget none\r\n", values("a") + "END\r\nEND\r\n", []string{"write a", "read none"}},
		{"others wait", "delete a\r\nget a\r\nbogus\r\nget b\r\n", "DELETED\r\nEND\r\nERROR\r\n" + values("b") + "END\r\n", []string{"write a", "read a", "barrier"}},
		{"a meta get waits", "delete a\r\nmg a v\r\nmg b v\r\n", "DELETED\r\nEN\r\nVA 1\r\nx\r\n", []string{"write a", "barrier"}},
		{
			"binary", packet(0x04, "a", "") + packet(0x09, "a", "") + packet(0x0d, "a", "") + packet(0x00, "b", "") + packet(0x00, "a", ""),
			answer(0x04, 0, 0, "") + binaryHit() + answer(0x00, 1, 0, "Not found"),
			[]string{"write a", "read a", "read a", "read b", "read a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, b := openJoining()
			f.wantAll(t, b, c.requests, c.answers, c.events)
			if f.c.unanswered != 0 || f.c.owed != 0 || f.c.loop.writes.n != 0 {
				t.Errorf("%d answers, %d bytes and %d waiters are left", f.c.unanswered, f.c.owed, f.c.loop.writes.n)
			}
		})
	}
}

// TestReadsBeforeWritesAreReadAtOnce where a barrier is granted at once, as by a lease.
func TestReadsBeforeWritesAreReadAtOnce(t *testing.T) {
	f, b := openJoining(func(b *memory) { b.delayBarriers = false })
	f.receive("get a\r\nget b\r\ndelete a\r\nget a\r\n")
	f.wantWait(t, "before the answer to the write", waitNothing, values("a")+"END\r\n"+values("b")+"END\r\n")
	f.settle(b)
	f.wantWait(t, "after it", waitNothing, "DELETED\r\nEND\r\n")
	if got, want := b.events(), []string{"barrier", "write a", "read a"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestReadsOfChangingItemsJoinTheNextWrite: there is nothing else to wait for.
func TestReadsOfChangingItemsJoinTheNextWrite(t *testing.T) {
	for requests, want := range map[string][]string{
		"get b\r\nget a c\r\ndelete c\r\n":                                    {"barrier", "read a", "read c", "write c"},
		packet(0x00, "b", "") + packet(0x00, "a", "") + packet(0x04, "c", ""): {"barrier", "read a", "write c"},
		"get b a\r\ndelete c\r\n":                                             {"barrier", "await a"},
		"get b\r\nget a c\r\nmn\r\n":                                          {"barrier", "await a c"},
		"get b\r\nmg a v\r\ndelete c\r\n":                                     {"barrier", "await a"},
	} {
		f, l := openChanging("", "a")
		l.b.joins = true
		f.receive(requests)
		if got := l.b.events(); !slices.Equal(got, want) {
			t.Errorf("%q: events %q, want %q", requests, got, want)
		}
	}
}

// TestReadsOfLaterTurnsJoin: while the answers to writes of an earlier turn are awaited, a
// connection with requests of many users goes on: neither their reads nor their writes wait.
func TestReadsOfLaterTurnsJoin(t *testing.T) {
	f, b := openJoining()
	f.receive("delete a\r\n")
	f.c.loop.TurnEnd()
	f.receive("get b\r\n")
	f.c.loop.TurnEnd()
	f.receive("get a\r\nset a 0 0 1\r\ny\r\n")
	f.wantWait(t, "all is passed on", waitNothing, "")
	f.settle(b)
	f.wantWait(t, "all is answered", waitNothing, "DELETED\r\n"+values("b")+"END\r\nEND\r\nSTORED\r\n")
	if got, want := b.events(), []string{"write a", "read b", "read a", "write a"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestReadsThatCannotJoinWait: when the backend takes no more, or answers are owed that have no
// room, a read waits for the answers to all writes, as everything else does.
func TestReadsThatCannotJoinWait(t *testing.T) {
	f, b := openJoining(func(b *memory) { b.inFlightMax = 2 })
	f.receive("delete a\r\nget a b\r\n")
	f.wantWait(t, "no room for both keys", waitWrites, "")
	f.settle(b)
	f.wantWait(t, "answered", waitNothing, "DELETED\r\n"+values("b")+"END\r\n")

	large := strings.Repeat("x", outboundBytesMax)
	f, b = openJoining(func(b *memory) { b.items["a"] = storedItem{value: []byte(large)} })
	f.receive("gat 0 a\r\nget a\r\nget b\r\n")
	f.wantWait(t, "two owe more than may be", waitWrites, "")
	if got, want := b.events(), []string{"write a", "read a"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestReadsBehindWritesThatFail are told what reads are told.
func TestReadsBehindWritesThatFail(t *testing.T) {
	for status, want := range map[protocol.Status]string{
		protocol.StatusNoLeader:       "SERVER_ERROR no leader\r\n",
		protocol.StatusOutcomeUnknown: "SERVER_ERROR read not confirmed in time\r\n",
		protocol.StatusMalformed:      "SERVER_ERROR read not confirmed in time\r\n",
		protocol.StatusOutOfMemory:    "SERVER_ERROR out of memory\r\n",
	} {
		f, b := openJoining(func(b *memory) { b.writeStatus = status })
		f.receive("set a 0 0 1 noreply\r\ny\r\nget a b c\r\nget a\r\n")
		f.settle(b)
		f.wantWait(t, "failed", waitNothing, want+want)
		if got := f.c.loop.writes.n; got != 0 {
			t.Errorf("%d waiters are left", got)
		}
	}
}

// TestReadsBehindWritesAreCounted, each key once, as reads.
func TestReadsBehindWritesAreCounted(t *testing.T) {
	b := newMemory()
	b.joins = true
	b.items["a:1"] = storedItem{value: []byte("x")}
	c := dial(t, start(t, b))
	c.Send("stats detail on", "set b:1 0 0 1", "y", "get a:1 a:2 b:1", "get a:1")
	c.Expect("OK", "STORED", "VALUE a:1 0 1", "x", "VALUE b:1 0 1", "y", "END", "VALUE a:1 0 1", "x", "END")
	wantStats(t, c, "", map[string]string{"cmd_get": "4", "get_hits": "3", "get_misses": "1", "reads_behind_writes": "4", "cmd_set": "1", "cmd_touch": "0"})
	c.Send("stats detail dump")
	c.Expect("PREFIX a get 3 hit 2 set 0 del 0", "PREFIX b get 1 hit 1 set 1 del 0", "END")
	wantStats(t, c, "latency", map[string]string{"get:count": "2", "set:count": "1"})
}

// TestReadsBehindReadsAlone do not join them, or one write would have all reads in the log that a client
// sends before those before them are answered.
func TestReadsBehindReadsAlone(t *testing.T) {
	f, b := openJoining(func(b *memory) { b.delayBarriers = false })
	b.hold()
	for _, request := range []string{"delete a\r\n", "get b\r\n"} {
		f.receive(request)
		f.c.loop.TurnEnd()
	}
	answerOne := func() {
		b.releaseOne()
		f.loop.posted[0]()
		f.loop.posted = f.loop.posted[1:]
	}
	answerOne()
	f.receive("get c\r\n")
	f.wantWait(t, "the write is answered", waitWrites, "DELETED\r\n")
	answerOne()
	f.wantWait(t, "the read is answered", waitNothing, values("b")+"END\r\n"+values("c")+"END\r\n")
	if got, want := b.events(), []string{"write a", "read b", "barrier"}; !slices.Equal(got, want) || f.c.joined != 0 {
		t.Errorf("events %q, want %q; %d have joined", got, want, f.c.joined)
	}
}

// TestReadsLookAheadOnce: of a long pipeline each read that has to wait looks for a write behind it, and
// what others have looked at it does not look at again.
func TestReadsLookAheadOnce(t *testing.T) {
	f, l := openChanging("", "a")
	l.b.joins = true
	f.receive("get a\r\nget b\r\nget a\r\nget c")
	if got, want := f.c.reads.ahead, len("get a\r\nget b\r\nget a\r\n"); got != want || f.c.reads.followed {
		t.Errorf("looked at %d bytes, want %d; found a write: %v", got, want, f.c.reads.followed)
	}
	f, l = openChanging("", "a")
	l.b.joins = true
	f.receive("get a\r\nget a\r\ndelete b\r\nget c\r\n")
	if got, want := l.b.events(), []string{"barrier", "read a", "read a", "write b", "read c"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if r := f.c.reads; r.ahead != 0 || r.followed {
		t.Errorf("behind it all %d bytes were looked at; found a write: %v", r.ahead, r.followed)
	}
}

// TestReadsOfWhoMayNotWriteDoNotJoin a write that will be refused: they would have something in the log.
func TestReadsOfWhoMayNotWriteDoNotJoin(t *testing.T) {
	f, b := openJoining()
	f.c.access = access{limited: true, readOnly: true}
	f.receive("get a\r\ndelete a\r\n")
	f.settle(b)
	f.wantWait(t, "all is answered", waitNothing, values("a")+"END\r\n"+notAllowedWrite)
	if got, want := b.events(), []string{"barrier"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}
