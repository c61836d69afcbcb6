package node

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/admin"
	"raftcached/internal/testclient"
	"raftcached/replication"
)

// corruptible is a node's state that changes behind raft's back when told so: on
// the applier's goroutine, before the next operations. It is repaired only when
// mayRestore is closed.
type corruptible struct {
	machine
	due        atomic.Bool
	mayRestore chan struct{}
}

// Apply implements replication.StateMachine.
func (m *corruptible) Apply(count int, ops []byte, reads any, want bool) any {
	if m.due.CompareAndSwap(true, false) {
		op := engine.Op{Kind: engine.OpSet, Key: []byte("corrupt"), Value: []byte("x")}
		m.machine.Apply(1, engine.AppendOp(nil, &op), nil, false)
	}
	return m.machine.Apply(count, ops, reads, want)
}

// Restore implements replication.StateMachine.
func (m *corruptible) Restore(r io.Reader) error {
	<-m.mayRestore
	return m.machine.Restore(r)
}

// dial connects to a node until the test ends.
func dial(t *testing.T, n *Node) *testclient.Client {
	t.Helper()
	return testclient.Dial(t, n.ClientAddrs()[0].String())
}

// writer sets one key after the other through a client.
type writer struct {
	*testclient.Client
	keys int // written so far
}

// TestDivergedNodeIsRepaired changes the state of one node of a running cluster.
// It finds that out, refuses reads and writes, local reads too, takes over the
// state of the others, and serves again. An image of its old state is kept.
func TestDivergedNodeIsRepaired(t *testing.T) {
	for _, role := range []string{"leader", "follower"} {
		t.Run(role, func(t *testing.T) {
			machines := make([]*corruptible, 3)
			nodes := openClusterWith(t, func(cfg *Config) {
				cfg.LocalReads = true
				cfg.wrap = func(m machine) replication.StateMachine {
					machines[cfg.ServerID] = &corruptible{machine: m, mayRestore: make(chan struct{})}
					return machines[cfg.ServerID]
				}
			})
			leader, victim := awaitLeader(t, nodes)
			if role == "leader" {
				victim = leader
			}
			checkRepair(t, nodes, victim, machines[victim.cfg.ServerID])
		})
	}
}

func checkRepair(t *testing.T, nodes []*Node, victim *Node, m *corruptible) {
	t.Helper()
	const refusal = "SERVER_ERROR state differs from the other servers, repairing"
	release := sync.OnceFunc(func() { close(m.mayRestore) })
	t.Cleanup(release) // before the nodes close
	c := &writer{Client: dial(t, victim)}
	m.due.Store(true)
	stored := c.until(t, refusal) // more than lie between two comparisons
	if got := c.Ask("get k1"); got != refusal {
		t.Fatalf("a read of what differs: %q", got)
	}
	awaitState(t, victim, admin.StateQuarantine)
	if s := (adminNode{victim}).Status(t.Context()); s.State != admin.StateQuarantine || s.Verdict != "repairing" { // it does not wait for the repair
		t.Fatalf("in quarantine the status is %+v", s)
	}
	other := nodes[(victim.cfg.ServerID+1)%len(nodes)]
	if got := dial(t, other).Ask("set other 0 0 1", "b"); got != "STORED" {
		t.Fatalf("server %d: %q", other.cfg.ServerID, got)
	}
	release()
	stored = append(stored, c.until(t, "STORED")...)
	awaitState(t, victim, admin.StateOK)
	for _, n := range nodes { // the first too: it is then where the victim is, who has answered
		awaitEqual(t, nodes, n)
	}
	for _, n := range nodes {
		c := dial(t, n)
		if got := c.Ask("get corrupt"); got != "END" {
			t.Fatalf("server %d: %q", n.cfg.ServerID, got)
		}
		for _, key := range append(stored, "other") {
			if got := c.Ask("get " + key); got != "VALUE "+key+" 0 1" || c.ReadLine() != "b" || c.ReadLine() != "END" {
				t.Fatalf("server %d has lost %s: %q", n.cfg.ServerID, key, got)
			}
		}
		if got := c.Stats("raft")["state_verdict"]; got != "ok" {
			t.Fatalf("server %d: state_verdict is %q", n.cfg.ServerID, got)
		}
	}
	files, err := os.ReadDir(filepath.Join(victim.cfg.DataDir, "diverged"))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0].Name(), ".snap") {
		t.Fatalf("diverged holds %v, %v", files, err)
	}
}

// until sets keys until an answer is want, and returns those that were stored.
func (c *writer) until(t *testing.T, want string) (stored []string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		c.keys++
		key := "k" + strconv.Itoa(c.keys)
		got := c.Ask("set "+key+" 0 0 1", "b")
		if got == "STORED" {
			stored = append(stored, key)
		}
		if got == want {
			return stored
		}
	}
	t.Fatalf("no %q within thirty seconds and %d writes", want, c.keys)
	return nil
}

// awaitEqual waits until a node has the index and the digest of the first one.
func awaitEqual(t *testing.T, nodes []*Node, n *Node) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		i, d := nodes[0].replica.Digest()
		j, e := n.replica.Digest()
		if i == j && d == e {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("server 0 is at index %d with %x, server %d at %d with %x", i, d, n.cfg.ServerID, j, e)
		}
	}
}
