package server

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// What memory does while items are changing: see memory.changing.

// underWay reports whether an item is changing, for a read that has not waited for
// that. b.mu is held.
func (l *memoryLoop) underWay(key []byte, h Heed) bool {
	return h.Changes && h.UpTo == 0 && l.b.changing[string(key)]
}

// Await implements Loop.
func (l *memoryLoop) Await(keys [][]byte, h Heed, waiter any) (Heed, bool) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.note("await " + string(bytes.Join(keys, []byte(" "))))
	l.waiters = append(l.waiters, waiter)
	return Heed{Changes: true, UpTo: 1}, true
}

// end answers a waiter, counted from 0.
func (l *memoryLoop) end(waiter int, ok bool) {
	l.c.Awaited(l.waiters[waiter], ok)
	l.c.ResultsEnd()
}

// openChanging opens a fake connection on a backend of the items a, b and c, of which
// some are changing.
func openChanging(input string, changing ...string) (*fakeConn, *memoryLoop) {
	b := newMemory()
	b.changing = make(map[string]bool)
	for _, key := range changing {
		b.changing[key] = true
	}
	for _, key := range []string{"a", "b", "c"} {
		b.items[key] = storedItem{value: []byte("x")}
	}
	f := openFake(b, input)
	return f, f.c.loop.backend.(*memoryLoop)
}

// values is the answer to a get of keys that are all found.
func values(keys ...string) string {
	s := ""
	for _, key := range keys {
		s += "VALUE " + key + " 0 1\r\nx\r\n"
	}
	return s
}

// binaryHit is the answer to Binary's get of an item.
func binaryHit() string {
	form := protocol.Form{Codec: protocol.Binary, Opaque: 7}
	r := protocol.Result{Status: protocol.StatusHit, Value: []byte("x"), SizeBytes: 1}
	return string(protocol.AppendAnswer(nil, protocol.MetaGet, &form, &r))
}

// TestOnlyReadsOfChangingItemsWait, in each protocol, and what comes after them on their
// connection.
func TestOnlyReadsOfChangingItemsWait(t *testing.T) {
	end := "END\r\n"
	for _, c := range []struct{ name, other, others, request, early, late, events string }{
		{"get", "get b\r\n", values("b") + end, "get a\r\n", "", values("a") + end, "barrier,await a,barrier"},
		{"many keys", "get b\r\n", values("b") + end, "get b a c\r\n", values("b"), values("a", "c") + end, "barrier,await a c,barrier"},
		{"meta", "mg b v\r\n", "VA 1\r\nx\r\n", "mg a v k\r\n", "", "VA 1 ka\r\nx\r\n", "barrier,await a,barrier"},
		{"binary", packet(0x00, "b", ""), binaryHit(), packet(0x00, "a", ""), "", binaryHit(), "barrier,await a,barrier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, l := openChanging(c.other+c.request+c.other, "a")
			f.handler.Readable()
			f.wantWait(t, "after the first look", waitChange, c.others+c.early)
			f.receive(c.other)
			f.wantWait(t, "more has arrived", waitChange, "")
			l.end(0, true)
			f.wantWait(t, "after the change", waitNothing, c.late+c.others+c.others)
			if got := strings.Join(l.b.events(), ","); got != c.events {
				t.Errorf("events %s, want %s", got, c.events)
			}
		})
	}
}

// TestManyKeysWaitOnce for all that are left; an item that begins to change meanwhile is
// not waited for.
func TestManyKeysWaitOnce(t *testing.T) {
	f, l := openChanging("get a b c\r\nget c\r\n", "b")
	f.handler.Readable()
	l.b.changing["c"] = true
	l.end(0, true)
	f.wantWait(t, "c is changing", waitChange, values("a", "b", "c")+"END\r\n")
	l.end(1, true)
	f.wantWait(t, "it has changed", waitNothing, values("c")+"END\r\n")
	if got, want := strings.Join(l.b.events(), ","), "barrier,await b c,await c"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestAWaitThatIsOver: without a lease the read asks for a barrier, and goes on where it
// has stopped. If that fails too, it is answered with an error.
func TestAWaitThatIsOver(t *testing.T) {
	for _, fails := range []bool{false, true} {
		f, l := openChanging("get a b c\r\n", "b")
		f.handler.Readable()
		f.wantWait(t, "b is changing", waitChange, values("a"))
		l.b.changing, l.b.delayBarriers = nil, true
		l.end(0, false)
		f.wantWait(t, "there is no lease", waitBarrier, "")
		want := values("b", "c") + "END\r\n"
		if fails {
			want = "SERVER_ERROR no leader\r\n"
			f.c.barrierDone(protocol.StatusNoLeader)
		} else {
			f.c.barrierDone(protocol.StatusOK)
		}
		f.c.serve()
		f.wantWait(t, "the barrier is answered", waitNothing, want)
	}
}

// TestClosedWhileItWaits: the answer to the wait is dropped.
func TestClosedWhileItWaits(t *testing.T) {
	f, l := openChanging("get a\r\n", "a")
	f.handler.Readable()
	f.Close()
	l.end(0, true)
	if got := f.takeReplies(); got != "" {
		t.Errorf("a closed connection is answered %q", got)
	}
}

// TestWaysOfReading are counted by keys.
func TestWaysOfReading(t *testing.T) {
	f, l := openChanging("get a b\r\nmg c\r\nget b c a\r\n", "c")
	f.handler.Readable()
	l.end(0, true)
	l.end(1, true)
	l.b.changing, l.b.delayBarriers = nil, true
	f.receive("mg b\r\nget a\r\n")
	f.c.barrierDone(protocol.StatusOK)
	f.c.serve()
	f.c.loop.counters.Publish()
	list, _ := stats.NewCollector(stats.Settings{}, stats.Source{
		Loops: []*stats.Counters{&f.c.loop.counters}, Now: time.Now, State: l.b.State,
		Conns: func() stats.Connections { return stats.Connections{} },
	}).Report("")
	got := map[string]string{}
	for _, s := range list {
		got[s.Name] = s.Value
	}
	for name, want := range map[string]string{"cmd_get": "8", "get_hits": "8", "reads_leased": "3", "reads_waited": "3", "reads_confirmed": "2"} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}
