package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/testclient"
	"raftcached/internal/transcript"
	"raftcached/protocol/server"
	"raftcached/replication/disk"
	"raftcached/replication/peer"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of workers, which lives as long as the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// openNode opens a node for a test and closes it at its end.
func openNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil && !errors.As(err, new(*peer.RemovedError)) {
			t.Error(err)
		}
	})
	return n
}

// requestPatience is how long a request may wait in a test, below testclient.Patience: on
// a busy machine nodes elect a leader at any time, more than once.
const requestPatience = testclient.Patience * 3 / 4

// loneConfig is the configuration of a node alone, with the defaults of package
// raftcached, but for requestPatience.
func loneConfig(t *testing.T) Config {
	return Config{
		Servers: []Server{{Host: "localhost", ClientPort: 11211}}, Disk: disk.OS(), DataDir: t.TempDir(),
		Limits:         engine.Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20},
		RequestTimeout: requestPatience, Tick: 10 * time.Millisecond, ElectionTicks: 20, HeartbeatTicks: 2, LogRetainBytes: 1 << 30,
		Server: server.Options{Listen: []string{"127.0.0.1:0"}, Loops: 2},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// openCluster opens three nodes in this process.
func openCluster(t *testing.T) []*Node {
	t.Helper()
	return openClusterWith(t, func(*Config) {})
}

// openClusterWith opens three nodes whose configurations change has gone over.
func openClusterWith(t *testing.T, change func(*Config)) []*Node {
	t.Helper()
	dir := t.TempDir()
	var servers []Server
	var listeners []net.Listener
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		servers = append(servers, Server{ID: i, Host: "127.0.0.1", ClientPort: 1 + i, LogPort: l.Addr().(*net.TCPAddr).Port})
	}
	nodes := make([]*Node, 3)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			cfg := loneConfig(t)
			cfg.ServerID, cfg.Servers, cfg.DataDir = i, servers, filepath.Join(dir, fmt.Sprint(i))
			cfg.PeerAddr, cfg.PeerListener = listeners[i].Addr().String(), listeners[i]
			change(&cfg)
			nodes[i] = openNode(t, cfg)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return nodes
}

// awaitLeader waits until all nodes know one leader and returns it and a
// follower.
func awaitLeader(t *testing.T, nodes []*Node) (leader, follower *Node) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		leader, follower = nil, nil
		for _, n := range nodes {
			switch s := n.replica.Status(); s.Leader {
			case 0:
			case s.ID:
				leader = n
			default:
				follower = n
			}
		}
		if leader != nil && follower != nil {
			return leader, follower
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no leader within twenty seconds")
		}
	}
}

var replays atomic.Int64

// replayAll replays every transcript against the node. Those that wait do so
// together, unless they flush what the others wait for.
func replayAll(t *testing.T, n *Node, chop func(string) []string, waits bool) {
	t.Helper()
	blocks, err := transcript.LoadAll("../../protocol/testdata")
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	replay := func(b transcript.Block) {
		err := b.ReplayAt(n.ClientAddrs()[0].String(), transcript.Options{Run: fmt.Sprint(replays.Add(1)), Chop: chop})
		if err != nil {
			t.Error(err)
		}
	}
	var waiting []transcript.Block
	for _, b := range blocks {
		switch {
		case !b.Waits() || waits && strings.Contains(b.File, "flush"):
			replay(b)
		case waits:
			waiting = append(waiting, b)
		}
	}
	var together sync.WaitGroup
	for _, b := range waiting {
		together.Go(func() { replay(b) })
	}
	together.Wait()
}

func TestTranscriptsOnALoneNode(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	t.Parallel() // it waits most of the time
	n := openNode(t, loneConfig(t))
	replayAll(t, n, nil, true)
	replayAll(t, n, transcript.EveryByte, false)
}

func TestTranscriptsThroughAFollower(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	t.Parallel() // it waits most of the time
	leader, follower := awaitLeader(t, openClusterWith(t, func(cfg *Config) {
		cfg.Limits.MemoryBytes = 8 << 20 // under the race detector each flush_all allocates it again, slowly
	}))
	replayAll(t, follower, nil, true)
	replayAll(t, leader, nil, false)
	replayAll(t, follower, transcript.EveryByte, false)
}

// TestRestart writes, restarts and reads.
func TestRestart(t *testing.T) {
	cfg := loneConfig(t)
	for round := range 3 {
		n, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		steps := fmt.Sprintf("C: set k%d 0 0 1\nC: x\nS: STORED\n", round)
		for old := range round + 1 {
			steps += fmt.Sprintf("C: get k%d\nS: VALUE k%d 0 1\nS: x\nS: END\n", old, old)
		}
		play(t, n, steps)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// play replays steps written as a transcript.
func play(t *testing.T, n *Node, steps string) {
	t.Helper()
	b, err := transcript.Parse(steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ReplayAt(n.ClientAddrs()[0].String(), transcript.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestStatsClusterOfALoneNode(t *testing.T) {
	play(t, openNode(t, loneConfig(t)), "C: set k 0 0 1\nC: x\nS: STORED\n"+ // it leads by then
		"C: stats cluster\nS: STAT servers 1\nS: STAT servers_majority 1\nS: STAT servers_reachable 1\n"+
		"S: STAT voters 1\nS: STAT voters_reachable 1\n"+
		"S: STAT server:0:address 127.0.0.1:0\nS: STAT server:0:self yes\n"+
		"S: STAT server:0:leader yes\nS: STAT server:0:votes yes\nS: STAT server:0:reachable yes\nS: END\n")
}

// TestOpenKnowsALeader: whoever reaches the port is not told that there is none.
func TestOpenKnowsALeader(t *testing.T) {
	nodes := openClusterWith(t, func(cfg *Config) { cfg.RequestTimeout = time.Minute })
	for i, n := range nodes {
		if _, known := n.Leader(); !known {
			t.Errorf("node %d serves without a leader", i)
		}
	}
}

// TestSecondNodeOnTheSameFolder gets a sentence.
func TestSecondNodeOnTheSameFolder(t *testing.T) {
	cfg := loneConfig(t)
	openNode(t, cfg)
	if _, err := Open(context.Background(), cfg); err == nil {
		t.Fatal("two nodes have one folder")
	}
}
