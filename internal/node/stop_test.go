package node

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/replication/peer"
)

// setsUntilClosed sets a key through a node, one request after the other, until the
// node closes the connection, or stop is closed. It returns how many were stored.
// Anything but STORED fails the test.
func setsUntilClosed(t *testing.T, n *Node, stop chan struct{}) (stored int) {
	c, err := net.Dial("tcp", n.ClientAddrs()[0].String())
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = c.Close() }() // all answers were read
	answers := bufio.NewReader(c)
	for {
		select {
		case <-stop:
			return stored
		default:
		}
		if _, err := io.WriteString(c, "set k 0 0 1\r\nx\r\n"); err != nil {
			return stored
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return stored
		}
		if answer != "STORED\r\n" {
			t.Errorf("set through server %d: %q", n.cfg.ServerID, answer)
			return stored
		}
		stored++
	}
}

// TestCloseHandsOver closes a node while clients write through all nodes, its own
// too: no request is refused. When it has closed, another node leads, and if it has
// led, in the next term: nobody had to wait for an election.
func TestCloseHandsOver(t *testing.T) {
	for _, role := range []string{"leader", "follower"} {
		t.Run(role, func(t *testing.T) {
			nodes := openCluster(t)
			closing, other := awaitLeader(t, nodes)
			terms := uint64(1)
			if role == "follower" {
				closing, other, terms = other, closing, 0
			}
			before := closing.replica.Status()
			stop := make(chan struct{})
			var clients sync.WaitGroup
			stored := make([]int, len(nodes))
			for i, n := range nodes {
				clients.Go(func() { stored[i] = setsUntilClosed(t, n, stop) })
			}
			awaitEntries(t, closing, before.Applied+20)
			if err := closing.Close(); err != nil {
				t.Fatal(err)
			}
			s := other.replica.Status()
			if s.Leader == 0 || s.Leader == before.ID || s.Term != before.Term+terms {
				t.Errorf("after the stop the leader is %d in term %d, want another one in term %d",
					s.Leader, s.Term, before.Term+terms)
			}
			if c, err := net.DialTimeout("tcp", closing.ClientAddrs()[0].String(), time.Second); err == nil {
				_ = c.Close()
				t.Error("a node that stopped accepts a client")
			}
			awaitEntries(t, other, s.Applied+20)
			close(stop)
			clients.Wait()
			if slices.Min(stored) == 0 {
				t.Errorf("stored through the servers: %v", stored)
			}
		})
	}
}

// awaitEntries waits until a node has applied index.
func awaitEntries(t *testing.T, n *Node, index uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for n.replica.Status().Applied < index {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("applied %d, want %d", n.replica.Status().Applied, index)
		}
	}
}

// TestCloseOfALoneNode has nobody to hand over to.
func TestCloseOfALoneNode(t *testing.T) {
	n, err := Open(t.Context(), loneConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := n.Close(); err != nil || time.Since(begun) >= handOverTimeout {
		t.Errorf("closed after %v: %v", time.Since(begun), err)
	}
}

// TestFailedNodeLetsClientsGo at once: what they wait for cannot be answered any more.
func TestFailedNodeLetsClientsGo(t *testing.T) {
	nodes := openClusterWith(t, func(cfg *Config) { cfg.Server.Loops = 1 })
	awaitLeader(t, nodes)
	failing := nodes[0]
	for _, n := range nodes[1:] {
		must(t, n.Close()) // without a majority writes wait
	}
	c, err := net.Dial("tcp", failing.ClientAddrs()[0].String())
	must(t, err)
	defer func() { _ = c.Close() }() // it is closed by the node
	_, err = io.WriteString(c, "set k 0 0 1\r\nx\r\n")
	must(t, err)
	dial(t, failing).Stats("") // of the same event loop, which has taken the set by then
	begun := time.Now()
	failing.replica.HandleExcluded(&peer.RemovedError{Sentence: "it was removed"})
	<-failing.Done()
	if err := failing.Err(); strings.Contains(err.Error(), "\n") {
		t.Errorf("it ends with more than a sentence: %v", err)
	}
	if took := time.Since(begun); took >= drainTimeout/2 {
		t.Errorf("it has let its clients go after %v", took)
	}
	if answer, err := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("the client got %q, %v", answer, err)
	}
}
