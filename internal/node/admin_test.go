package node

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/replication"
	"raftcached/replication/disk"
)

// awaitState waits until a node is in a state and returns the reason.
func awaitState(t *testing.T, n *Node, want string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		state, reason := adminNode{n}.Ready(t.Context()) // it waits by itself
		if state == want {
			return reason
		}
		if time.Now().After(deadline) {
			t.Fatalf("the state is %q (%s), want %q", state, reason, want)
		}
	}
}

func TestStatusOfALoneNode(t *testing.T) {
	n := openNode(t, loneConfig(t))
	play(t, n, "C: set k 0 0 1\nC: x\nS: STORED\n")
	if reason := awaitState(t, n, admin.StateOK); reason != "" {
		t.Errorf("a node that serves gives the reason %q", reason)
	}
	s := adminNode{n}.Status(t.Context())
	if len(s.Cluster) != 16 || s.Role != "leader" || s.LeaderID != 0 || s.Applied == 0 || s.Applied != s.Commit || s.Verdict != "ok" {
		t.Errorf("status is %+v", s)
	}
	if s.Memory.Items != 1 || s.Memory.LimitBytes != 64<<20 || s.Disk == nil || s.Disk.FreeBytes <= 0 || s.Disk.FreeBytes > s.Disk.TotalBytes {
		t.Errorf("memory is %+v, disk %+v", s.Memory, s.Disk)
	}
	if len(s.Servers) != 1 || !s.Servers[0].Self || !s.Servers[0].Reachable || s.Servers[0].Address != "localhost:11211" {
		t.Errorf("servers are %+v", s.Servers)
	}
	if d := s.Digests[len(s.Digests)-1]; d.Index != s.Applied {
		t.Errorf("the last digest is %+v, applied is %d", d, s.Applied)
	}
}

// TestStatusWithoutADisk: a folder in memory is in no file system.
func TestStatusWithoutADisk(t *testing.T) {
	cfg := loneConfig(t)
	cfg.Disk, cfg.DataDir = disk.NewMemory(), "in memory"
	if s := (adminNode{openNode(t, cfg)}).Status(t.Context()); s.Disk != nil {
		t.Errorf("a node without files has the disk %+v", s.Disk)
	}
}

// TestReadyNeedsAMajority, also where reads need none.
func TestReadyNeedsAMajority(t *testing.T) {
	for _, local := range []bool{false, true} {
		nodes := openClusterWith(t, func(cfg *Config) { cfg.LocalReads, cfg.RequestTimeout = local, time.Second })
		for _, n := range nodes {
			awaitState(t, n, admin.StateOK)
		}
		for _, n := range nodes[1:] {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if reason := awaitState(t, nodes[0], admin.StateNoMajority); !strings.Contains(reason, "it cannot reach the servers 1, 2") && !strings.Contains(reason, "leader") {
			t.Errorf("the reason is %q", reason)
		}
		for _, m := range (adminNode{nodes[0]}).Status(t.Context()).Servers[1:] {
			if m.Reachable || m.Why == "" || m.Since == nil || time.Since(*m.Since) > time.Minute {
				t.Errorf("a server that was closed is seen as %+v", m)
			}
		}
		awaitState(t, nodes[1], admin.StateStopping)
	}
}

// TestNotReadyWhileTheLogIsRead: a node that has its members, and not all its parts.
func TestNotReadyWhileTheLogIsRead(t *testing.T) {
	n := &Node{cfg: loneConfig(t)}
	n.life.stage.Store(stageReading)
	if state, reason := (adminNode{n}).Ready(t.Context()); state != admin.StateStarting || reason != "it reads its log" {
		t.Errorf("it is %q (%s)", state, reason)
	}
}

// TestAdminPortTellsOfTheStart: it answers before the cluster is formed.
func TestAdminPortTellsOfTheStart(t *testing.T) {
	const url = "http://127.97.86.53:11411"
	nodes := openClusterWith(t, func(cfg *Config) {
		if cfg.ServerID == 0 {
			cfg.AdminAddr = strings.TrimPrefix(url, "http://")
			return
		}
		// The others come when server 0 has said that it waits for them.
		awaitAnswer(t, url+"/readyz", http.StatusServiceUnavailable, "starting: it waits until it knows its cluster")
		awaitAnswer(t, url+"/livez", http.StatusOK, "ok")
		awaitAnswer(t, url+"/status", http.StatusOK, `"state": "starting"`)
	})
	awaitAnswer(t, url+"/readyz", http.StatusOK, "ok")
	for _, n := range nodes[1:] { // nobody has configured it for them: server 0 has told them
		if s := (adminNode{n}).Status(t.Context()).Servers[0]; s.AdminAddress != strings.TrimPrefix(url, "http://") {
			t.Errorf("server %d finds the admin port of server 0 at %q", n.cfg.ServerID, s.AdminAddress)
		}
	}
}

func TestAdminPortOfAllAddressesIsAtTheHost(t *testing.T) {
	for listens, want := range map[string]string{"[::]:9": "h:9", "0.0.0.0:9": "h:9", ":9": "h:9", "10.0.0.1:9": "10.0.0.1:9", "": ""} {
		if got := adminAt(listens, "h"); got != want {
			t.Errorf("an admin port that listens at %q is at %q, want %q", listens, got, want)
		}
	}
}

// awaitAnswer asks until the answer has the code, and a text in it.
func awaitAnswer(t *testing.T, url string, code int, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		got, body := ask(url)
		if got == code && strings.Contains(body, text) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("%s answers %d %q, want %d and %q", url, got, body, code, text)
			return
		}
	}
}

// ask returns the code and the body of an answer, or 0 and the error.
func ask(url string) (code int, body string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// TestStatusOfMembers shows who is a learner, awaited or being replaced, and how many
// votes that makes.
func TestStatusOfMembers(t *testing.T) {
	n := lookout(t, place4)
	n.life.stage.Store(stageReading)
	n.cfg.Servers = []Server{{ID: 1, Host: "b", AdminAddr: "b:9"}}
	want := []admin.Member{
		{ID: 0, Address: "a:1", LogAddress: "a:2", Self: true, Reachable: true},
		{ID: 1, Address: "c:3", LogAddress: "c:4", AdminAddress: "b:9", Learner: true, Replaced: true},
		{ID: 2, LogAddress: "d:2", Learner: true, Stays: true},
		{ID: 3, Address: "e:5", LogAddress: "e:6", Awaited: true},
	}
	if got := (adminNode{n}).seen(); !slices.Equal(got, want) {
		t.Errorf("servers are\n%+v\nwant\n%+v", got, want)
	}
}

// slow is a node's state to which nothing is applied while gate is locked.
type slow struct {
	machine
	gate *sync.Mutex
}

// Apply implements replication.StateMachine.
func (m *slow) Apply(count int, ops []byte, reads any, want bool) any {
	m.gate.Lock()
	defer m.gate.Unlock()
	return m.machine.Apply(count, ops, reads, want)
}

// TestCatchingUpSaysHowFar: a server that is behind is not ready, and says which entry
// it is at, and which one it has to reach.
func TestCatchingUpSaysHowFar(t *testing.T) {
	gates := make([]sync.Mutex, 3)
	nodes := openClusterWith(t, func(cfg *Config) {
		cfg.wrap = func(m machine) replication.StateMachine { return &slow{m, &gates[cfg.ServerID]} }
	})
	leader, follower := awaitLeader(t, nodes)
	c := dial(t, leader)
	if got := c.Ask("set k 0 0 1", "b"); got != "STORED" {
		t.Fatalf("set: %q", got)
	}
	awaitState(t, follower, admin.StateOK)
	gate := &gates[follower.cfg.ServerID]
	gate.Lock()
	release := sync.OnceFunc(gate.Unlock)
	defer release()
	for range 3 {
		if got := c.Ask("set k 0 0 1", "b"); got != "STORED" {
			t.Fatalf("set: %q", got)
		}
	}
	reason := awaitState(t, follower, admin.StateCatchingUp)
	var at, of uint64
	if _, err := fmt.Sscanf(reason, "it has applied entry %d of %d", &at, &of); err != nil || of < at+2 {
		t.Errorf("it is not ready: %s", reason)
	}
	release()
	awaitState(t, follower, admin.StateOK)
}
