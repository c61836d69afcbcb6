package replication

import (
	"bytes"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/measure"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// hintTap passes on what the state machine is hinted at.
type hintTap struct {
	*simMachine
	seen chan []byte
}

func (m hintTap) Hint(hashes []byte) {
	m.simMachine.Hint(hashes)
	m.seen <- bytes.Clone(hashes)
}

// waitingClient is an event loop that waits for each answer.
type waitingClient struct{ answers chan []Answer }

func (c waitingClient) Answers(a []Answer)            { c.answers <- a }
func (c waitingClient) Expired(uint64, bool, Refusal) {}
func (c waitingClient) ReadsDone(int, bool)           {}
func (c waitingClient) Moved()                        {}

// startLone starts a lone node with all its goroutines; the test ends it.
func startLone(t *testing.T, machine StateMachine, client Client) *Replica {
	t.Helper()
	return startLoneWith(t, machine, client, nil)
}

// startLoneWith is startLone with a Yield.
func startLoneWith(t *testing.T, machine StateMachine, client Client, yield func()) *Replica {
	t.Helper()
	fs := disktest.NewCrashable()
	w, err := wal.Open(fs, "wal", wal.Options{Bootstrap: &pb.ConfState{Voters: []uint64{1}}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := snapshot.Open(fs, "snap", snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := StartReplica(ReplicaConfig{
		ID: 1, Formed: formed(1), Boot: 1, Loops: 1, Log: simLog{w}, Snapshots: simStore{store},
		Machine: machine, Clients: []Client{client}, Tick: simTick, ElectionTicks: simElectionTicks,
		HeartbeatTicks: simHeartbeatTicks, RequestTimeout: time.Minute, LogRetainBytes: 1 << 30,
		Logger: slog.New(slog.DiscardHandler), Yield: yield,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestReplicaFormsAndHints runs a lone node: its log begins with the formation,
// which simMachine insists on, and hints come with later entries.
func TestReplicaFormsAndHints(t *testing.T) {
	machine := hintTap{newSimMachine(), make(chan []byte, 1)}
	client := waitingClient{make(chan []Answer, 1)}
	r := startLone(t, machine, client)
	r.Hint(hashes(7, 2))
	set := engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: make([]byte, 300)})
	deadline := time.After(20 * time.Second)
	for tag := uint64(1); ; tag++ {
		r.Submit(0, tag, 1, bytes.Clone(set), nil, false)
		select {
		case <-client.answers:
		case <-r.Done():
			t.Fatal(r.Err())
		}
		select {
		case got := <-machine.seen:
			if !bytes.Equal(got, hashes(7, 2)) {
				t.Fatalf("hints are %x, want %x", got, hashes(7, 2))
			}
			return
		case <-deadline:
			t.Fatal("no hint within twenty seconds")
		default:
		}
	}
}

// TestReplicaSnapshot reads snapshots of a running node, the second of which has to be
// taken for what came after the first.
func TestReplicaSnapshot(t *testing.T) {
	client := waitingClient{make(chan []Answer, 1)}
	r := startLone(t, newSimMachine(), client)
	for tag := range uint64(2) {
		set := engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte{'k', byte(tag)}, Value: []byte("v")})
		r.Submit(0, tag+1, 1, set, nil, false)
		<-client.answers
		applied, _ := r.State()
		s, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		restored := newSimMachine()
		if err := restored.Restore(s); err != nil || s.Index < applied.Index {
			t.Fatalf("snapshot of index %d, want %d: %v", s.Index, applied.Index, err)
		}
		if n := restored.Engine.Stats().CurrItems; n != int64(tag)+1 {
			t.Errorf("the snapshot holds %d items, want %d", n, tag+1)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// refusedClient is an event loop that waits for what is refused.
type refusedClient struct{ refused chan uint64 }

func (c refusedClient) Answers([]Answer)                      {}
func (c refusedClient) Expired(tag uint64, _ bool, _ Refusal) { c.refused <- tag }
func (c refusedClient) ReadsDone(int, bool)                   {}
func (c refusedClient) Moved()                                {}

// TestReplicaForgetsReadsOfTheRefused submits reads to a node that accepts nothing. It keeps
// none of them: nothing that it applies would have it forget them.
func TestReplicaForgetsReadsOfTheRefused(t *testing.T) {
	client := refusedClient{make(chan uint64)}
	r := startLone(t, newSimMachine(), client)
	r.SetSpace(SpaceLow, 0)
	tick, deadline := time.NewTicker(time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for r.Status().Refusing != RefusalDiskFull {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing is refused within twenty seconds")
		}
	}
	const last = 50
	for tag := uint64(1); tag <= last; tag++ {
		reads := new(engine.Reads)
		reads.Add(0, []byte("k"))
		r.Submit(0, tag, 0, nil, reads, false)
		select {
		case got := <-client.refused:
			if got != tag {
				t.Fatalf("%d was refused, want %d", got, tag)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("not refused within twenty seconds")
		}
	}
	b := r.machine.applier.st.behind
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.loops[0]); n > 1 { // the last one is forgotten once its client is told
		t.Errorf("reads of %d sub-batches are kept", n)
	}
}

// syncs is how often a replica has synced its log.
func syncs(r *Replica) uint64 {
	var d measure.Distribution
	d.Include(&r.timings.Sync)
	return d.Count()
}

// TestSubmissionsShareSyncs: on one processor several goroutines are about to submit when the
// first one has. What they bring is synced with it, or next, not each by itself.
func TestSubmissionsShareSyncs(t *testing.T) {
	const rounds, goroutines = 100, 8
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	client := waitingClient{make(chan []Answer, goroutines)}
	r := startLone(t, newSimMachine(), client)
	set := engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
	var tag atomic.Uint64
	submit := func() { r.Submit(0, tag.Add(1), 1, bytes.Clone(set), nil, false) }
	answered := func(n int) {
		for n > 0 {
			select {
			case a := <-client.answers:
				n -= len(a)
			case <-r.Done():
				t.Fatal(r.Err())
			}
		}
	}
	submit()
	answered(1) // the state is formed
	before := syncs(r)
	for range rounds {
		for range goroutines {
			go submit()
		}
		answered(goroutines)
	}
	if n := syncs(r) - before; n > rounds*goroutines/2 {
		t.Errorf("%d submissions took %d syncs, at most half as many are expected", rounds*goroutines, n)
	}
}
