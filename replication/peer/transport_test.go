package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"
)

// TestMain checks that nothing goes on when the tests have ended, except the
// questions to a name server whose answers nobody waits for any more.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder"), goleak.IgnoreAnyFunction("net.(*Resolver).exchange"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inbox is a Handler that passes everything to channels.
type inbox struct {
	raft      chan *pb.Message
	payloads  chan string
	restored  chan uint64
	snapshots func(header []byte, size int64, r io.Reader) error
	excluded  chan error
	block     chan struct{} // if set, forwards wait for it
	members   atomic.Pointer[identity.Roster]
	unsettled atomic.Bool
}

func newInbox() *inbox {
	return &inbox{raft: make(chan *pb.Message, 1000), payloads: make(chan string, 1000), restored: make(chan uint64, 1000), excluded: make(chan error, 10)}
}

func (h *inbox) HandleRaft(_ uint64, m *pb.Message, _ uint64) { h.raft <- m }
func (h *inbox) HandleForward(from, _ uint64, p []byte) {
	if h.block != nil {
		<-h.block
	}
	h.payloads <- fmt.Sprintf("forward %d %s", from, p)
}

func (h *inbox) HandleSignal(from uint64, p []byte) {
	h.payloads <- fmt.Sprintf("signal %d %s", from, p)
}

func (h *inbox) HandleSnapshot(_ uint64, header []byte, size int64, r io.Reader) error {
	return h.snapshots(header, size, r)
}
func (h *inbox) HandleForwardRestored(peer uint64) { h.restored <- peer }
func (h *inbox) HandleUnreachable(uint64)          {}
func (h *inbox) HandleExcluded(err error)          { h.excluded <- err }

func (h *inbox) Settled() bool { return !h.unsettled.Load() }

// Admits decides by the members that a test has set.
func (h *inbox) Admits(raftID uint64, directory [16]byte) error {
	r := h.members.Load()
	if r == nil || raftID >= r.NextRaftID {
		return nil
	}
	for _, m := range r.Members {
		if m.RaftID == raftID && m.DirectoryID == directory && !m.Retired {
			return nil
		}
	}
	return errors.New("it is no member")
}

// memory is what a node of a test remembers of the others.
type memory struct {
	mu    sync.Mutex
	known identity.Memory
	kept  *identity.Roster
}

func (m *memory) KeepRoster(r *identity.Roster) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = r
	return nil
}

func (m *memory) Meet(id identity.DirectoryID, l identity.Lineage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.known.Meet(id, &l)
	return err
}

// lineage is that of a folder whose starts had the given incarnations.
func lineage(incarnations ...uint64) identity.Lineage {
	return identity.Lineage{Boot: uint64(len(incarnations)), Incarnations: incarnations}
}

var testConstants = identity.Constants{
	Limits: identity.Limits{MemoryLimitBytes: 64 << 20, ItemBytesMax: 1 << 20},
	Ticks:  identity.Ticks{TickMs: 10, ElectionTicks: 30},
	Leases: identity.LeasesAll,
}

// node is one end of a test's cluster.
type node struct {
	*Transport
	inbox *inbox
}

// members returns n servers at a loopback address that nothing else uses, so that
// each finds its port again when it is restarted.
func members(n int) []identity.Member {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	var list []identity.Member
	for i := range n {
		list = append(list, identity.Member{ServerID: i, RaftID: uint64(i + 1), Host: host, LogPort: 11311 + i})
	}
	return list
}

func listen(t *testing.T, list []identity.Member, id int, change func(*Config)) *node {
	t.Helper()
	c := Config{
		ServerID: id, DirectoryID: identity.DirectoryID{byte(id + 1)}, Lineage: lineage(1), Memory: &memory{}, Constants: testConstants,
		Listen: address(list[id]), Servers: list, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	n := &node{inbox: newInbox()}
	c.Admit = n.admit
	var err error
	n.Transport, err = Listen(c)
	must(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func (n *node) form(ctx context.Context) (identity.Cluster, error) {
	return n.Form(ctx, func(string) {})
}

// formAll forms the cluster of the nodes and lets all join it.
func formAll(t *testing.T, nodes ...*node) identity.Cluster {
	t.Helper()
	type result struct {
		c   identity.Cluster
		err error
	}
	results := make(chan result, len(nodes))
	for _, n := range nodes {
		go func() {
			c, err := n.form(t.Context())
			results <- result{c, err}
		}()
	}
	var c identity.Cluster
	for range nodes {
		r := <-results
		must(t, r.err)
		if c.ID != 0 && c.ID != r.c.ID {
			t.Fatalf("nodes formed clusters %x and %x", c.ID, r.c.ID)
		}
		c = r.c
	}
	for _, n := range nodes {
		n.take(c)
	}
	return c
}

// admit has a node admit those folders that are members already.
func (n *node) admit(_ context.Context, j Joiner) error {
	for _, m := range n.inbox.members.Load().Members {
		if m.DirectoryID == j.DirectoryID {
			return nil
		}
	}
	return refuse("it is no member")
}

// join has a node ask the servers of a list.
func join(t *testing.T, n *node, list []identity.Member) (identity.Cluster, error) {
	t.Helper()
	var addrs []string
	for _, m := range list {
		addrs = append(addrs, address(m))
	}
	return Join(t.Context(), n.config, addrs, func(string) {})
}

// take lets a node take part in a cluster that its folder is one of.
func (n *node) take(c identity.Cluster) {
	id, roster := c.RaftID, c.Roster
	if roster == nil {
		roster = &identity.Roster{NextRaftID: uint64(len(c.Members) + 1), Members: c.Members}
	}
	n.inbox.members.Store(roster)
	for _, m := range c.Members {
		if m.DirectoryID == n.config.DirectoryID {
			id = m.RaftID
		}
	}
	n.Join(c, id, n.inbox)
}

func threeNodes(t *testing.T) []*node {
	list := members(3)
	nodes := []*node{listen(t, list, 0, nil), listen(t, list, 1, nil), listen(t, list, 2, nil)}
	formAll(t, nodes...)
	for _, n := range nodes { // all forward streams are up: so are soon the others
		<-n.inbox.restored
		<-n.inbox.restored
	}
	return nodes
}

// eventually calls try until it succeeds: streams come up one after the other.
func eventually(t *testing.T, try func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !try(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not within ten seconds")
		}
	}
}

func message(from, to, index uint64) *pb.Message {
	return &pb.Message{
		Type: pb.MsgApp.Enum(), From: new(from), To: new(to), Index: new(index),
		Entries: []*pb.Entry{{Index: new(index), Data: []byte("data")}},
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	nodes := threeNodes(t)
	eventually(t, func() bool { return nodes[0].Send(message(1, 2, 0), 0) })
	for i := range uint64(200) {
		if !nodes[0].Send(message(1, 2, i+1), 0) {
			t.Fatalf("message %d was dropped", i)
		}
	}
	for i := range uint64(201) {
		if m := <-nodes[1].inbox.raft; m.GetIndex() != i || string(m.GetEntries()[0].GetData()) != "data" {
			t.Fatalf("message %v, want %d", m, i)
		}
	}
	eventually(t, func() bool { return nodes[2].Forward(1, []byte("ops")) })
	if got := <-nodes[0].inbox.payloads; got != "forward 3 ops" {
		t.Fatalf("got %q", got)
	}
	eventually(t, func() bool { return nodes[2].Signal(2, []byte("s")) })
	if got := <-nodes[1].inbox.payloads; got != "signal 3 s" {
		t.Fatalf("got %q", got)
	}
	if nodes[0].Send(message(1, 9, 0), 0) || nodes[0].Forward(9, nil) {
		t.Fatal("something was sent to a node that there is not")
	}
}

// TestSentMessagesAreLetGo: what was sent does not stay in memory until something else is
// sent. To a server that catches up many MiB are sent at once.
func TestSentMessagesAreLetGo(t *testing.T) {
	nodes := threeNodes(t)
	eventually(t, func() bool { return nodes[0].Send(message(1, 2, 0), 0) })
	var sent []weak.Pointer[pb.Message]
	for i := range uint64(50) {
		m := message(1, 2, i)
		sent = append(sent, weak.Make(m))
		nodes[0].Send(m, 0)
	}
	for range 51 {
		<-nodes[1].inbox.raft
	}
	eventually(t, func() bool {
		runtime.GC()
		return !slices.ContainsFunc(sent, func(p weak.Pointer[pb.Message]) bool { return p.Value() != nil })
	})
}

// TestFullStreamHoldsUpNoOther: a peer that does not take forwarded sub-batches
// still gets control messages, and the sender never blocks.
func TestFullStreamHoldsUpNoOther(t *testing.T) {
	nodes := threeNodes(t)
	nodes[1].inbox.block = make(chan struct{})
	defer close(nodes[1].inbox.block)
	payload := make([]byte, 1<<20)
	sent := 0
	eventually(t, func() bool { return nodes[0].Forward(2, payload) })
	for nodes[0].Forward(2, payload) {
		if sent++; sent > 1000 {
			t.Fatal("a stream takes everything")
		}
	}
	heartbeat := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2))}
	eventually(t, func() bool { return nodes[0].Send(heartbeat, 0) })
	if m := <-nodes[1].inbox.raft; m.GetType() != pb.MsgHeartbeat {
		t.Fatalf("got %v", m)
	}
}

func TestConnectedTellsWhoIsThere(t *testing.T) {
	nodes := threeNodes(t)
	for _, peer := range []uint64{2, 3} {
		eventually(t, func() bool { return nodes[0].Connected(peer) })
	}
	if nodes[0].Connected(1) || nodes[0].Connected(9) {
		t.Error("connected to itself, or to a stranger")
	}
	if s := nodes[0].Sight(2); !s.Heard.IsZero() {
		t.Errorf("heard of the peer at %v, which has sent nothing", s.Heard)
	}
	eventually(t, func() bool { return nodes[1].Signal(1, []byte("s")) })
	eventually(t, func() bool { return !nodes[0].Sight(2).Heard.IsZero() })
	must(t, nodes[2].Close())
	eventually(t, func() bool { return !nodes[0].Connected(3) })
	if !nodes[0].Connected(2) {
		t.Error("the connection to the other peer went as well")
	}
}

func TestReconnects(t *testing.T) {
	list := members(2)
	a, b := listen(t, list, 0, nil), listen(t, list, 1, nil)
	c := formAll(t, a, b)
	<-a.inbox.restored
	must(t, b.Close())
	b = listen(t, list, 1, func(c *Config) { c.Lineage = lineage(1, 2) })
	b.take(c)
	if id := <-a.inbox.restored; id != 2 {
		t.Fatalf("stream to %d was restored", id)
	}
	eventually(t, func() bool { return a.Send(message(1, 2, 7), 0) })
	if m := <-b.inbox.raft; m.GetIndex() != 7 {
		t.Fatalf("got %v", m)
	}
}

func TestSnapshot(t *testing.T) {
	nodes := threeNodes(t)
	contents := bytes.Repeat([]byte("snapshot"), 200_000)
	var got []byte
	nodes[1].inbox.snapshots = func(header []byte, size int64, r io.Reader) (err error) {
		if string(header) != "header" || size != int64(len(contents)) {
			return errors.New("another snapshot was expected")
		}
		got, err = io.ReadAll(r)
		return err
	}
	done := make(chan error, 1)
	send := func(header string) error {
		nodes[0].SendSnapshot(2, []byte(header), int64(len(contents)), io.NopCloser(bytes.NewReader(contents)), func(err error) { done <- err })
		return <-done
	}
	if err := send("header"); err != nil || !bytes.Equal(got, contents) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := send("wrong"); err == nil || !strings.Contains(err.Error(), "another snapshot was expected") {
		t.Fatalf("the receiver's error came as %v", err)
	}
}
