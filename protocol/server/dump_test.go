package server

import (
	"strings"
	"testing"
	"time"

	"raftcached/protocol"
)

// openDumping opens a fake connection on a backend of the items a, b and c. The test
// makes the steps.
func openDumping(t *testing.T) (*fakeConn, *memory) {
	t.Helper()
	b := newMemory()
	for _, key := range []string{"a", "b", "c"} {
		b.items[key] = storedItem{value: []byte("x"), cas: 7}
	}
	f := openFake(b, "")
	f.c.loop.dumps.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { f.c.loop.dumps.timer.Stop() })
	return f, b
}

// TestDumpGoesOnInSteps: what follows in the input waits until the dump is over.
func TestDumpGoesOnInSteps(t *testing.T) {
	f, b := openDumping(t)
	b.delayBarriers = true
	f.receive("lru_crawler mgdump all\r\nversion\r\n")
	f.wantWait(t, "what was acknowledged is to be listed", waitBarrier, "")
	b.set(func(b *memory) { b.delayBarriers = false })
	f.c.loop.BarriersDone(1, protocol.StatusOK)
	f.c.loop.ResultsEnd()
	f.wantWait(t, "the barrier is answered", waitTurn, "OK\r\nmg a\r\n")
	f.receive("get a\r\n")
	f.wantWait(t, "more arrives", waitTurn, "")
	f.c.loop.dumpStep()
	f.wantWait(t, "its turn has come", waitTurn, "mg b\r\n")
	f.c.loop.dumpStep()
	f.wantWait(t, "the last item is listed", waitNothing, "mg c\r\nEN\r\nVERSION \r\nVALUE a 0 1\r\nx\r\nEND\r\n")
}

// TestDumpWaitsForItsClient: no more is listed while it does not read.
func TestDumpWaitsForItsClient(t *testing.T) {
	f, _ := openDumping(t)
	f.waiting = outboundBytesMax + 1
	f.receive("lru_crawler mgdump all\r\n")
	f.wantWait(t, "the client does not read", waitClient, "OK\r\nmg a\r\n")
	if f.limit != outboundBytesMax/2 {
		t.Fatalf("goes on when %d bytes wait, want %d", f.limit, outboundBytesMax/2)
	}
	f.waiting = 0
	f.c.Writable()
	f.wantWait(t, "it has read", waitTurn, "mg b\r\n")
	f.Close()
	f.c.loop.dumpStep() // its turn, which nobody waits for
	if replies := f.takeReplies(); replies != "" {
		t.Fatalf("%q is sent to nobody", replies)
	}
}

// TestDumpsTakeTurns: a loop makes one step at a time.
func TestDumpsTakeTurns(t *testing.T) {
	f, _ := openDumping(t)
	other := &fakeConn{loop: f.loop, limit: -1}
	other.handler = f.c.loop.Open(other)
	other.c = other.handler.(*conn)
	f.receive("lru_crawler mgdump all\r\n")
	other.receive("lru_crawler mgdump all\r\n")
	f.takeReplies()
	other.takeReplies()
	for range 2 {
		f.c.loop.dumpStep()
		if mine, others := f.takeReplies(), other.takeReplies(); mine == "" || others != "" {
			t.Fatalf("one step answers %q and %q", mine, others)
		}
		f.c.loop.dumpStep()
		if mine, others := f.takeReplies(), other.takeReplies(); mine != "" || others == "" {
			t.Fatalf("the next step answers %q and %q", mine, others)
		}
	}
}

func TestDumps(t *testing.T) {
	b := newMemory()
	b.items["a%"] = storedItem{value: []byte("x"), flags: 5, cas: 7}
	b.items["a b"] = storedItem{value: []byte("xy")}
	c := dial(t, start(t, b))
	for request, want := range map[string][]string{
		"lru_crawler metadump all": {
			"OK", "key=a%20b exp=-1 la=0 cas=0 fetch=no cls=1 size=2 flags=0 \n" +
				"key=a%25 exp=-1 la=0 cas=7 fetch=no cls=1 size=1 flags=5 \nEND",
		},
		"lru_crawler mgdump 1,2":   {"OK", "mg YSBi b", "mg a%", "EN"},
		"lru_crawler mgdump 2":     {"OK", "EN"},
		"stats cachedump 1 0":      {"ITEM a% [1 b; 0 s]", "END"},
		"stats cachedump 1 1":      {"ITEM a% [1 b; 0 s]", "END"},
		"stats cachedump 2 0":      {"END"},
		"lru_crawler metadump 2,0": {"BADCLASS invalid class id"},
	} {
		c.Send(request)
		c.Expect(want...)
	}
	c.Send("lru_crawler enable", "lru_crawler disable", "lru_crawler metadump all", "lru_crawler crawl all", "lru_crawler enable", "lru_crawler crawl all")
	c.Expect("ERROR failed to start lru crawler thread", "OK", strings.TrimSpace(crawlerDisabled), strings.TrimSpace(crawlerDisabled), "OK", "OK")
}

func TestDumpsMayBeForbidden(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.DumpDisabled = true }))
	c.Send("lru_crawler metadump all", "lru_crawler mgdump all", "stats cachedump 1 1")
	c.Expect("ERROR metadump not allowed", "ERROR key dump not allowed", "CLIENT_ERROR stats cachedump not allowed")
	wantStats(t, c, "settings", map[string]string{"dump_enabled": "no"})
}

// TestStatsTakeTurns: whoever sends many stats commands at once keeps nobody else waiting
// for more than one of them.
func TestStatsTakeTurns(t *testing.T) {
	f, _ := openDumping(t)
	f.receive(strings.Repeat("stats raft\r\n", 3) + "version\r\n")
	const answer = "STAT raft_state leader\r\nEND\r\n"
	f.wantWait(t, "it has sent several", waitTurn, answer)
	f.receive("stats raft\r\n")
	f.wantWait(t, "it sends one more", waitTurn, "")
	for _, when := range []string{"after the first", "after the second"} {
		f.c.loop.dumpStep()
		f.wantWait(t, when, waitTurn, answer)
	}
	f.c.InputEnded()
	f.c.loop.dumpStep()
	f.wantWait(t, "after the third", waitNothing, "VERSION \r\n"+answer)
	if !f.closed {
		t.Error("the connection of a client that has ended its requests stays open")
	}
}
