package replication

import (
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var borderMembers = []Member{{ServerID: 0, RaftID: 1}, {ServerID: 1, RaftID: 2}, {ServerID: 2, RaftID: 3}}

// newBorderCore returns a core of three whose log has ten entries of term 2, of which
// eight are committed.
func newBorderCore(t *testing.T) *Core {
	t.Helper()
	fs := disktest.NewCrashable()
	w, err := wal.Open(fs, "wal", wal.Options{Bootstrap: &pb.ConfState{Voters: []uint64{1, 2, 3}}})
	must(t, err)
	var ents []*pb.Entry
	for i := range uint64(10) {
		ents = append(ents, &pb.Entry{Index: new(i + 1), Term: new(uint64(2))})
	}
	must(t, w.Save(wal.Write{Entries: ents, HardState: &pb.HardState{Term: new(uint64(2)), Vote: new(uint64(2)), Commit: new(uint64(8))}, Sync: true}))
	store, err := snapshot.Open(fs, "snap", snapshot.Options{})
	must(t, err)
	cfg := ReplicaConfig{
		ID: 1, Formed: borderMembers, Boot: 1, Loops: 1, Log: simLog{w}, Snapshots: simStore{store}, Machine: newSimMachine(),
		Tick: simTick, ElectionTicks: simElectionTicks, HeartbeatTicks: simHeartbeatTicks, RequestTimeout: time.Minute,
		LogRetainBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler),
	}
	m, err := newMachine(&cfg)
	must(t, err)
	return m.core
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peerMessage is a message of node 2 to node 1 in term 2.
func peerMessage(kind pb.MessageType, change func(m *pb.Message)) *pb.Message {
	m := &pb.Message{Type: kind.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(2))}
	if change != nil {
		change(m)
	}
	return m
}

func entryOf(index, term uint64) *pb.Entry { return &pb.Entry{Index: new(index), Term: new(term)} }

// TestRaftIsNotMadeToPanic: each message would make raft panic. It is dropped, or
// says that the logs contradict each other, and then the node ends and says no more.
func TestRaftIsNotMadeToPanic(t *testing.T) {
	for _, c := range []struct {
		name   string
		m      *pb.Message
		leads  bool
		failed bool
	}{
		{"commit beyond the log", peerMessage(pb.MsgHeartbeat, func(m *pb.Message) { m.Commit = new(uint64(11)) }), false, true},
		{"commit beyond the log, in a later term", peerMessage(pb.MsgHeartbeat, func(m *pb.Message) { m.Commit, m.Term = new(uint64(11)), new(uint64(3)) }), false, true},
		{"another committed entry", peerMessage(pb.MsgApp, func(m *pb.Message) {
			m.Term, m.Index, m.LogTerm, m.Entries = new(uint64(3)), new(uint64(8)), new(uint64(2)), []*pb.Entry{entryOf(9, 2), entryOf(10, 3)}
			m.Commit = new(uint64(10))
		}), false, false},
		{"gap between entries", peerMessage(pb.MsgApp, func(m *pb.Message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(10)), new(uint64(2)), []*pb.Entry{entryOf(12, 2)}
		}), false, false},
		{"entry that is too early", peerMessage(pb.MsgApp, func(m *pb.Message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(10)), new(uint64(2)), []*pb.Entry{entryOf(3, 2)}
		}), false, false},
		{"no term", peerMessage(pb.MsgVote, func(m *pb.Message) { m.Term = nil }), false, false},
		{"the last term", peerMessage(pb.MsgAppResp, func(m *pb.Message) { m.Term = new(uint64(math.MaxUint64)) }), false, false},
		{"read without a number", peerMessage(pb.MsgReadIndex, func(m *pb.Message) { m.Term = nil }), true, false},
		{"acknowledged beyond the log", peerMessage(pb.MsgAppResp, func(m *pb.Message) { m.Term, m.Index = new(uint64(3)), new(uint64(99)) }), true, true},
		{"snapshot without voters", peerMessage(pb.MsgSnap, func(m *pb.Message) {
			m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(20)), Term: new(uint64(2)), ConfState: &pb.ConfState{}}}
		}), false, false},
		{"snapshot of others", peerMessage(pb.MsgSnap, func(m *pb.Message) {
			m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(20)), Term: new(uint64(2)), ConfState: &pb.ConfState{Voters: []uint64{0, 0}}}}
		}), false, false},
		{"from nobody", peerMessage(pb.MsgHeartbeat, func(m *pb.Message) { m.From = nil }), false, false},
		{"proposal", peerMessage(pb.MsgProp, nil), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			core := newBorderCore(t)
			if c.leads {
				lead(t, core)
			}
			_ = core.Step(c.m, 0)
			var eff Effects
			core.Ready(&eff)
			if (eff.Failed != nil) != c.failed || c.failed && !errors.Is(eff.Failed, ErrOutdated) {
				t.Fatalf("failed: %v, want %v", eff.Failed, c.failed)
			}
			if c.failed {
				must(t, core.Step(peerMessage(pb.MsgVote, func(m *pb.Message) {
					m.Term, m.Index, m.LogTerm = new(uint64(9)), new(uint64(99)), new(uint64(8))
				}), 0))
				if core.Ready(&eff); len(eff.Messages)+len(eff.Append)+len(eff.Apply) > 0 {
					t.Fatalf("it goes on: %+v", eff)
				}
			}
		})
	}
}

// lead makes a core the leader of term 3.
func lead(t *testing.T, core *Core) {
	t.Helper()
	var eff Effects
	for range 5 * simElectionTicks {
		core.Tick()
		core.Ready(&eff)
		for _, a := range eff.Append {
			for _, r := range a.GetResponses() {
				if r.GetTo() == 1 {
					core.Appended([]*pb.Message{r})
				}
			}
		}
		for _, m := range eff.Messages {
			kind := pb.MsgPreVoteResp
			switch m.GetType() {
			case pb.MsgPreVote:
			case pb.MsgVote:
				kind = pb.MsgVoteResp
			default:
				continue
			}
			if m.GetTo() == 2 {
				must(t, core.Step(peerMessage(kind, func(r *pb.Message) { r.Term = new(m.GetTerm()) }), 0))
			}
		}
		if core.leads() {
			return
		}
	}
	t.Fatal("it does not lead")
}

// TestRaftNeverPanics feeds messages that are put together at random.
func TestRaftNeverPanics(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	small := func() *uint64 { return new(rng.Uint64N(16)) }
	for range 300 {
		core := newBorderCore(t)
		if rng.IntN(2) == 0 {
			lead(t, core)
		}
		var eff Effects
		for range 50 {
			m := &pb.Message{
				Type: pb.MessageType(rng.IntN(int(pb.MsgForgetLeader) + 1)).Enum(), From: new(1 + rng.Uint64N(4)), To: new(uint64(1)),
				Term: new(rng.Uint64N(5)), Index: small(), LogTerm: new(rng.Uint64N(4)), Commit: small(), RejectHint: small(), Reject: new(rng.IntN(2) == 0),
			}
			for i := range rng.Uint64N(4) {
				m.Entries = append(m.Entries, entryOf(m.GetIndex()+i+1, max(m.GetLogTerm(), m.GetTerm())))
			}
			if m.GetType() == pb.MsgSnap {
				m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: small(), Term: small(), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}}
			}
			_ = core.Step(m, 0)
			core.Tick()
			core.Ready(&eff)
		}
	}
}

// FuzzStep takes any bytes for messages of a peer, one after the other.
func FuzzStep(f *testing.F) {
	for _, m := range []*pb.Message{
		peerMessage(pb.MsgHeartbeat, func(m *pb.Message) { m.Commit = new(uint64(11)) }),
		peerMessage(pb.MsgApp, func(m *pb.Message) {
			m.Term, m.Index, m.LogTerm, m.Entries = new(uint64(3)), new(uint64(8)), new(uint64(2)), []*pb.Entry{entryOf(9, 2), entryOf(10, 3)}
			m.Commit = new(uint64(10))
		}),
		peerMessage(pb.MsgAppResp, func(m *pb.Message) { m.Term, m.Index = new(uint64(3)), new(uint64(99)) }),
		peerMessage(pb.MsgSnap, func(m *pb.Message) {
			m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(20)), Term: new(uint64(2)), ConfState: &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}}}
		}),
		peerMessage(pb.MsgVote, func(m *pb.Message) { m.Term, m.Index, m.LogTerm = new(uint64(9)), new(uint64(99)), new(uint64(8)) }),
		peerMessage(pb.MsgReadIndex, func(m *pb.Message) { m.Entries = []*pb.Entry{{Data: []byte("12345678")}} }),
		peerMessage(pb.MsgTimeoutNow, nil),
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b, false)
		f.Add(b, b, true)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, leads bool) {
		core := newBorderCore(t)
		if leads {
			lead(t, core)
		}
		var eff Effects
		for _, b := range [][]byte{first, second} {
			m := new(pb.Message)
			if proto.Unmarshal(b, m) != nil {
				return
			}
			_ = core.Step(m, 0) // what is no sound peer's is refused
			core.Tick()
			core.Ready(&eff)
		}
	})
}
