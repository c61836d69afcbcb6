package node

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/testclient"
	"raftcached/protocol/server"
	"raftcached/replication"
)

// openLeased opens a cluster whose leader has leases, and waits for one. It lasts for
// almost a second without a word of the others, so that a busy machine does not end it.
// What is applied on the leader passes gate.
func openLeased(t *testing.T) (nodes []*Node, leader *Node, gate *sync.Mutex) {
	t.Helper()
	gates := make([]sync.Mutex, 3)
	nodes = openClusterWith(t, func(cfg *Config) {
		cfg.Leases, cfg.ElectionTicks, cfg.RequestTimeout = "leader", 100, 5*time.Second
		cfg.wrap = func(m machine) replication.StateMachine { return &slow{m, &gates[cfg.ServerID]} }
	})
	leader, _ = awaitLeader(t, nodes)
	c := dial(t, leader)
	for _, key := range []string{"a", "b"} {
		if got := c.Ask("set "+key+" 0 0 1", "1"); got != "STORED" {
			t.Fatalf("set: %q", got)
		}
	}
	await(t, "a lease", func() bool {
		c.Send("get b")
		c.Expect("VALUE b 0 1", "1", "END")
		return count(t, c, "reads_leased") > 0
	})
	return nodes, leader, &gates[leader.cfg.ServerID]
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within twenty seconds", what)
		}
	}
}

func count(t *testing.T, c *testclient.Client, name string) int {
	t.Helper()
	n, err := strconv.Atoi(c.Stats("")[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// waitingReads is how many reads of clients wait for changes.
func waitingReads(n *Node) (waits int) {
	for i := range n.cfg.Server.Loops {
		done := make(chan int)
		n.loops[i].loop.Post(func() { done <- len(n.loops[i].waits) })
		waits += <-done
	}
	return waits
}

// TestReadsUnderALease: only a read of a key whose change is under way waits, with what
// its connection sends after it, in each protocol and in the process of the node.
func TestReadsUnderALease(t *testing.T) {
	t.Parallel()
	_, leader, gate := openLeased(t)
	writer, other := dial(t, leader), dial(t, leader)
	gate.Lock()
	release := sync.OnceFunc(gate.Unlock)
	defer release()
	last := leader.replica.Status().LastIndex
	writer.Send("set a 0 0 1", "2")
	await(t, "commit of the set", func() bool { return leader.replica.Status().Commit > last })

	text, meta := dial(t, leader), dial(t, leader)
	text.Send("get b a", "get b")
	text.Expect("VALUE b 0 1", "1")
	meta.Send("mg a v", "mg b v")
	await(t, "reads that wait", func() bool { return waitingReads(leader) == 2 })
	read := make(chan string)
	go func() {
		var value string
		_, _ = leader.Client().Read(t.Context(), [][]byte{[]byte("a")}, func(_ int, it engine.Item) { value = string(it.Value) })
		read <- value
	}()
	other.Send("get b")
	other.Expect("VALUE b 0 1", "1", "END")
	waited, confirmed := count(t, other, "reads_waited"), count(t, other, "reads_confirmed")

	release()
	writer.Expect("STORED")
	text.Expect("VALUE a 0 1", "2", "END", "VALUE b 0 1", "1", "END")
	meta.Expect("VA 1", "2", "VA 1", "1")
	if got := <-read; got != "2" {
		t.Errorf("the node's own process has read %q", got)
	}
	// A lease that ends meanwhile, on a busy machine, has a majority asked.
	waited, confirmed = count(t, other, "reads_waited")-waited, count(t, other, "reads_confirmed")-confirmed
	if waited != 2 && confirmed == 0 {
		t.Errorf("%d reads have waited for a change, want 2", waited)
	}
}

// TestWaitsEndWithTheLease: when nobody confirms the change, nor the lease, the read asks
// for a majority's word, and is refused as without leases.
func TestWaitsEndWithTheLease(t *testing.T) {
	t.Parallel()
	nodes, leader, gate := openLeased(t)
	gate.Lock()
	release := sync.OnceFunc(gate.Unlock)
	defer release()
	last := leader.replica.Status().LastIndex
	writer, reader := dial(t, leader), dial(t, leader)
	writer.Send("set a 0 0 1", "2")
	await(t, "commit of the set", func() bool { return leader.replica.Status().Commit > last })
	reader.Send("get a")
	await(t, "read that waits", func() bool { return waitingReads(leader) == 1 })
	for _, n := range nodes {
		if n != leader {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	await(t, "end of the wait", func() bool { return waitingReads(leader) == 0 })
	if got := reader.ReadLine(); got != "SERVER_ERROR no leader" {
		t.Errorf("the read is answered %q", got)
	}
}

// TestLeasedReadsAllocateNothing, from the bytes' arrival on. On a busy machine it is measured
// again: a lease that ends meanwhile has a majority asked, which allocates, and what the nodes do
// besides is counted too.
func TestLeasedReadsAllocateNothing(t *testing.T) {
	_, leader, _ := openLeased(t)
	hit, miss := request(t, "mg a v t h l k\r\n"), request(t, "mg none v\r\n")
	out := make([]byte, 0, 1024)
	heed := server.Heed{Changes: true}
	await(t, "reads under a lease that lasts, without an allocation", func() bool {
		leased, allocs := true, 0.0
		onLoop(leader, func(l *loopBackend) {
			allocs = testing.AllocsPerRun(100, func() {
				if l.Barrier() != server.GrantChanges {
					leased, l.barriers = false, 0
				}
				for range 3 {
					_, _ = l.Get(out, hit.Key, false, heed)
					_, _ = l.Look(out, hit, heed)
					_, _ = l.Look(out, miss, heed)
				}
			})
		})
		return leased && allocs == 0
	})
}
