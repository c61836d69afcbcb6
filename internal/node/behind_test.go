package node

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"raftcached/replication"
)

// openGated opens a node alone, what is applied on which passes the gate.
func openGated(t *testing.T) (*Node, *sync.Mutex) {
	t.Helper()
	var gate sync.Mutex
	cfg := loneConfig(t)
	cfg.Server.Loops = 1
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
