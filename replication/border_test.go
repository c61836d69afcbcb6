package replication

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
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
	for _, mono := range []time.Duration{0, time.Hour} { // it is bound no more
		m.core.Observe(mono, simEpoch)
	}
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

// TestRaftNeverPanics feeds messages that are put together at random, with absurd
// numbers among them.
func TestRaftNeverPanics(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	absurd := []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxInt64, math.MaxInt64 + 1, indexMax, indexMax + 1, termJumpMax, termJumpMax + 3}
	odd := func(n uint64) *uint64 {
		if rng.IntN(12) == 0 {
			return new(absurd[rng.IntN(len(absurd))])
		}
		return new(rng.Uint64N(n))
	}
	small := func() *uint64 { return odd(16) }
	for range 300 {
		core := newBorderCore(t)
		if rng.IntN(2) == 0 {
			lead(t, core)
		}
		var eff Effects
		for range 50 {
			m := &pb.Message{
				Type: pb.MessageType(rng.IntN(int(pb.MsgForgetLeader) + 1)).Enum(), From: new(1 + rng.Uint64N(4)), To: new(uint64(1)),
				Term: odd(5), Index: small(), LogTerm: odd(4), Commit: small(), RejectHint: small(), Reject: new(rng.IntN(2) == 0),
			}
			for i := range rng.Uint64N(4) {
				e := entryOf(m.GetIndex()+i+1, max(m.GetLogTerm(), m.GetTerm()))
				e.Type, e.Data = pb.EntryType(rng.IntN(3)).Enum(), garbage[rng.IntN(len(garbage))]
				m.Entries = append(m.Entries, e)
			}
			if m.GetType() == pb.MsgSnap {
				m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: small(), Term: small(), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}}
			}
			_ = core.Step(m, *odd(9))
			core.Tick()
			core.Ready(&eff)
		}
	}
}

// garbage is data of entries: none, what no program can read, and what a later one may.
var garbage = [][]byte{nil, {0xff, 0xff}, {0x94, 1}, {0x94, 1, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 0xc0, 0x90}, {0x94, entryVersion + 1, 5, 0xc0, 0x90}}

// TestEntriesOfALaterVersionAreRefused: what would end this node, and end it again at
// each start, does not get into its log. What is malformed may, as it has no effect.
func TestEntriesOfALaterVersionAreRefused(t *testing.T) {
	later := (&MemberChange{Kind: ChangeSettle}).encode()
	later[1] = changeVersion + 1
	laterChange, err := proto.Marshal(&pb.ConfChangeV2{Context: later})
	must(t, err)
	for _, c := range []struct {
		name string
		kind pb.EntryType
		data []byte
		want error
	}{
		{"malformed", pb.EntryNormal, garbage[1], nil},
		{"later", pb.EntryNormal, garbage[4], ErrLater},
		{"malformed change", pb.EntryConfChangeV2, garbage[1], nil},
		{"later change", pb.EntryConfChangeV2, laterChange, ErrLater},
		{"of raft's old kind", pb.EntryConfChange, nil, errMalformed},
	} {
		core := newBorderCore(t)
		err := core.Step(peerMessage(pb.MsgApp, func(m *pb.Message) {
			e := entryOf(11, 2)
			e.Type, e.Data = c.kind.Enum(), c.data
			m.Index, m.LogTerm, m.Entries = new(uint64(10)), new(uint64(2)), []*pb.Entry{e}
		}), 0)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestUnreadableEntriesHaveNoEffect: a node goes on behind an entry that no program can
// read, reports it, and is as every other node.
func TestUnreadableEntriesHaveNoEffect(t *testing.T) {
	cfg := ReplicaConfig{ID: 1, Formed: borderMembers, Boot: 1, Loops: 1, Machine: &textMachine{}}
	a, b := newState(&cfg), newState(&cfg)
	b.machine = &textMachine{}
	b.id = 2
	sound := &SubBatch{Origin: 1, Boot: 1, Seq: 1, Tag: 7, Count: 1, Ops: []byte("x")}
	ents := []*pb.Entry{
		{Data: encodeEntry(5, nil, 2, append(appendSubBatch(nil, sound), 0xff))}, // applies up to what cannot be read
		{Data: garbage[1]},
		{Data: garbage[2]},
		{Data: garbage[3]},
		{Data: encodeEntry(stampMsMax+1, nil, 0, nil)},
		{Type: pb.EntryConfChangeV2.Enum(), Data: garbage[1]},
		{Type: pb.EntryConfChange.Enum()},
		{Data: encodeEntry(6, nil, 1, appendSubBatch(nil, &SubBatch{Origin: 1, Boot: 1, Seq: 2, Tag: 8, Count: 1, Ops: []byte("y")}))},
	}
	for i, e := range ents {
		e.Index, e.Term = new(uint64(i+1)), new(uint64(1))
	}
	for _, st := range []*state{a, b} {
		var out Batch
		must(t, st.apply(ents, nil, &out))
		if got := st.machine.(*textMachine).text; got != "xy" || st.index != uint64(len(ents)) || st.stampMs != 6 || len(out.Report.Refused) != 6 {
			t.Fatalf("state %q at %d, stamp %d, %d refused", got, st.index, st.stampMs, len(out.Report.Refused))
		}
		if len(out.Answers[0]) != map[uint64]int{1: 2, 2: 0}[st.id] {
			t.Fatalf("node %d: %d answers", st.id, len(out.Answers[0]))
		}
	}
	if a.stateDigest() != b.stateDigest() {
		t.Fatal("two nodes differ")
	}
	var out Batch
	err := a.apply([]*pb.Entry{{Index: new(a.index + 1), Data: garbage[4]}}, nil, &out)
	if !errors.Is(err, ErrLater) {
		t.Fatalf("an entry of a later version: %v", err)
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

// TestDropsAreToldOnce: a peer that is broken sends what is dropped with each message.
func TestDropsAreToldOnce(t *testing.T) {
	var log bytes.Buffer
	r := &Replica{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		r.dropped(2, errors.New("no term"))
		r.dropped(3, errors.New("no term"))
		r.dropped(3, errors.New("from nobody"))
	}
	if lines := strings.Count(log.String(), "\n"); lines != 3 {
		t.Errorf("%d lines, want one for each peer and reason:\n%s", lines, log.String())
	}
}
