package node

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"raftcached/engine"
	"raftcached/protocol"
	"raftcached/protocol/server"
	"raftcached/replication"
)

// openGated opens a node alone, what is applied on which passes the gate.
func openGated(t *testing.T, change ...func(cfg *Config)) (*Node, *sync.Mutex) {
	t.Helper()
	var gate sync.Mutex
	cfg := loneConfig(t)
	cfg.Server.Loops = 1
	for _, f := range change {
		f(&cfg)
	}
	cfg.wrap = func(m machine) replication.StateMachine { return &slow{m, &gate} }
	n := openNode(t, cfg)
	if got := dial(t, n).Ask("set b 0 0 1", "b"); got != "STORED" {
		t.Fatalf("set: %q", got)
	}
	return n, &gate
}

// TestReadsJoinWritesUnderWay: while a write is not applied, reads of its connection go on their way, with
// writes of later turns and without, and see what is before them.
func TestReadsJoinWritesUnderWay(t *testing.T) {
	t.Parallel()
	n, gate := openGated(t)
	gate.Lock()
	release := sync.OnceFunc(gate.Unlock)
	defer release()
	c := dial(t, n)
	for submitted, lines := range [][]string{
		1: {"set a 0 0 1", "1"},
		2: {"get a b none"},
		3: {"get a", "append a 0 0 1", "2", "get a", "incr a 1", "get a"},
	} {
		if lines == nil {
			continue
		}
		c.Send(lines...)
		await(t, "sub-batch of what was sent", func() (is bool) {
			onLoop(n, func(l *loopBackend) { is = len(l.waiting) == submitted })
			return is
		})
	}
	release()
	c.Expect("STORED", "VALUE a 0 1", "1", "VALUE b 0 1", "b", "END",
		"VALUE a 0 1", "1", "END", "STORED", "VALUE a 0 2", "12", "END", "13", "VALUE a 0 2", "13", "END")
	if got := count(t, c, "reads_behind_writes"); got != 6 {
		t.Errorf("%d keys were read behind writes, want 6", got)
	}
	onLoop(n, func(l *loopBackend) {
		if l.bytes != 0 || l.reads.bytes != 0 || len(l.waiting) != 0 {
			t.Errorf("%d bytes of writes, %d of reads and %d sub-batches are under way still", l.bytes, l.reads.bytes, len(l.waiting))
		}
	})
}

// TestReadsDoNotJoinRefusedWrites: while disks are full, a read behind a write that is refused is
// answered as ever.
func TestReadsDoNotJoinRefusedWrites(t *testing.T) {
	t.Parallel()
	n, _ := openGated(t)
	n.replica.SetSpace(replication.SpaceLow, 1<<20)
	await(t, "refusal", func() bool { return n.replica.Status().Refusing == replication.RefusalDiskFull })
	c := dial(t, n)
	c.Send("set a 0 0 1", "1", "get b")
	c.Expect("SERVER_ERROR out of memory storing object", "VALUE b 0 1", "b", "END")
}

// TestReadsOfMuchDoNotJoin: answers are held in memory until they are sent, so that a read of
// more than 2 MiB waits for the writes before it.
func TestReadsOfMuchDoNotJoin(t *testing.T) {
	t.Parallel()
	n, _ := openGated(t)
	c := dial(t, n)
	const size = behindBytesMax * 2 / 5
	large := strings.Repeat("x", size)
	for _, key := range []string{"l", "m", "n"} {
		if got := c.Ask(fmt.Sprintf("set %s 0 0 %d", key, size), large); got != "STORED" {
			t.Fatalf("set: %q", got)
		}
	}
	c.Send("set a 0 0 1", "1", "get l", "set a 0 0 1", "2", "get l m n")
	block := func(key string) []string { return []string{fmt.Sprintf("VALUE %s 0 %d", key, size), large} }
	for _, want := range [][]string{{"STORED"}, block("l"), {"END", "STORED"}, block("l"), block("m"), block("n"), {"END"}} {
		c.Expect(want...)
	}
	if got := count(t, c, "reads_behind_writes"); got != 1 {
		t.Errorf("%d keys were read behind writes, want 1", got)
	}
}

// deaf is a Completer whose writes nobody waits for.
type deaf struct{ server.Completer }

func (deaf) WriteDone(*protocol.Result) {}

// TestReadsThatAreGivenUpAreForgotten: while nothing is applied, as without a leader, reads that
// were told so take no memory.
func TestReadsThatAreGivenUpAreForgotten(t *testing.T) {
	t.Parallel()
	n, gate := openGated(t, func(cfg *Config) { cfg.RequestTimeout = 200 * time.Millisecond })
	gate.Lock()
	defer gate.Unlock()
	var reads [2]weak.Pointer[engine.Reads] // the applier has the first
	onLoop(n, func(l *loopBackend) {
		l.loop = deaf{l.loop}
		for i := range reads {
			l.ReadBehind([][]byte{[]byte("a")})
			reads[i] = weak.Make(l.reads.forming)
			l.Flush()
		}
	})
	await(t, "end of the sub-batches", func() (over bool) {
		onLoop(n, func(l *loopBackend) { over = len(l.waiting) == 0 && l.reads.bytes == 0 })
		return over
	})
	await(t, "end of their reads", func() bool {
		runtime.GC()
		return reads[1].Value() == nil
	})
}

// TestReadsBehindLargeWrites: how much they return is known by what is written before them, so that none
// is refused for want of room.
func TestReadsBehindLargeWrites(t *testing.T) {
	t.Parallel()
	n, gate := openGated(t)
	const size, gets = 900_000, 48
	large := strings.Repeat("x", size)
	lines := []string{fmt.Sprintf("set a 0 0 %d", size-10), large[10:], "append a 0 0 10", large[:10]}
	for range gets {
		lines = append(lines, "get a")
	}
	c := dial(t, n)
	gate.Lock()
	c.Send(lines...)
	await(t, "the writes", func() (come bool) {
		onLoop(n, func(l *loopBackend) {
			come = len(l.waiting) > 0 && l.bytes > size
		})
		return come
	})
	gate.Unlock()
	c.Expect("STORED", "STORED")
	for range gets {
		c.Expect(fmt.Sprintf("VALUE a 0 %d", size), large, "END")
	}
}

// TestLocalReadsBehindWritesThatFail are answered: they need no other server.
func TestLocalReadsBehindWritesThatFail(t *testing.T) {
	t.Parallel()
	nodes := openClusterWith(t, func(cfg *Config) { cfg.LocalReads, cfg.RequestTimeout = true, time.Second })
	c := dial(t, nodes[0])
	if got := c.Ask("set a 0 0 1", "1"); got != "STORED" {
		t.Fatalf("set: %q", got)
	}
	for _, n := range nodes[1:] {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "loss of the leader", func() bool { return nodes[0].replica.Status().Leader == 0 })
	c.Send("set a 0 0 1", "2", "get a", "quit")
	c.Expect("SERVER_ERROR no leader", "VALUE a 0 1", "1", "END")
}
