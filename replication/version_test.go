package replication

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/frame"
	"raftcached/replication/snapshot"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// restart has a node run a program that knows a cluster version, and tells no more than held
// of it; 0: all.
func (n *rigNode) restart(program, held uint64) {
	n.r.t.Helper()
	n.stop()
	n.program, n.held = program, held
	n.start()
}

// version is the cluster version that a node has applied.
func (n *rigNode) version() uint64 { return n.machine.core.members.ClusterVersion() }

// goldenVersion is the context of a change of the cluster version in the log.
const goldenVersion = `9b 03 09 05 00 00 c410 00000000000000000000000000000000 a0 00 00 c2 02`

// TestChangeOfTheClusterVersion holds what the change does, and its format in the log, which
// programs from before refuse as a later one.
func TestChangeOfTheClusterVersion(t *testing.T) {
	m := formedMembership(formed(3))
	m.Version, m.Leases = 5, LeasesAll
	c := MemberChange{Kind: ChangeVersion, Version: 5, Raised: 2}
	want, err := hex.DecodeString(strings.ReplaceAll(goldenVersion, " ", ""))
	must(t, err)
	if got := c.encode(); !slices.Equal(got, want) {
		t.Fatalf("change is\n% x, want\n% x", got, want)
	}
	if read, err := decodeChange(want); err != nil || *read != c {
		t.Fatalf("read %+v: %v", read, err)
	}
	for i := range want {
		if _, err := decodeChange(want[:i]); err == nil {
			t.Fatalf("%d of %d bytes are read", i, len(want))
		}
	}
	before := m.append(nil)
	next, _, err := m.plan(&c)
	if err != nil || next.ClusterVersion() != 2 || next.Version != 6 || next.Leases != LeasesAll || !slices.Equal(next.Members, m.Members) {
		t.Fatalf("planned %+v, %v", next, err)
	}
	if after := next.append(nil); before[0] != 0x96 || after[0] != 0x97 || bytes.Equal(before, after) {
		t.Fatalf("before the first rise %x are written, then %x: programs of version 1 must read, and digest, what they know", before, after)
	}
	checkEncoding(t, m)
	checkEncoding(t, next)
	settled, _, err := next.plan(&MemberChange{Kind: ChangeSettle, Version: 6})
	if err != nil || settled.ClusterVersion() != 2 {
		t.Fatalf("settled it is %+v, %v", settled, err)
	}
	for _, lower := range []uint64{0, 1, 2} {
		if _, _, err := settled.plan(&MemberChange{Kind: ChangeVersion, Version: settled.Version, Raised: lower}); err == nil {
			t.Errorf("the cluster version falls from 2 to %d", lower)
		}
	}
}

// TestClusterVersionRises: once every server tells that it can, a leader raises it, and not
// before: while one runs an older program, is held back by its operator, or is away. Until
// then an older program may come back. A restart keeps it.
func TestClusterVersionRises(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	r.elect()
	a, b, c := r.nodes[0], r.nodes[1], r.nodes[2]
	stays := func(why string) {
		t.Helper()
		r.run(3 * versionAge)
		for _, n := range r.nodes {
			if n.up && n.version() != ClusterVersionFormed {
				t.Fatalf("%s, and the cluster has version %d", why, n.version())
			}
		}
	}
	a.restart(2, 0)
	b.restart(2, 0)
	stays("one server does not know version 2")
	a.restart(1, 0)
	stays("two servers do not know version 2")
	a.restart(2, 0)
	c.restart(3, 1)
	stays("one server is held back")
	b.stop()
	a.feed(input{kind: inputUnreachable, peer: b.id})
	c.restart(3, 0)
	stays("one server is away")
	b.start()
	r.until("version 2", func() bool { return a.version() == 2 && b.version() == 2 && c.version() == 2 })
	r.run(3 * versionAge)
	if r.leader().version() != 2 {
		t.Fatalf("the cluster has version %d, and two servers know no more than 2", r.leader().version())
	}
	for _, n := range r.nodes {
		n.restart(3, 0)
	}
	r.until("version 3", func() bool { return a.version() == 3 && b.version() == 3 && c.version() == 3 })
}

// TestLoneServerRaisesItsVersion: it has nobody to ask.
func TestLoneServerRaisesItsVersion(t *testing.T) {
	r := newRig(t, 1, LeasesOff, 0)
	n := r.nodes[0]
	r.until("a leader", func() bool { return r.leader() == n })
	n.restart(4, 0)
	r.until("version 4", func() bool { return n.version() == 4 })
}

// TestLearnerIsAskedForItsVersion: one without a vote has to read the log, too.
func TestLearnerIsAskedForItsVersion(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesOff, bugs)
		learner := r.addLearner()
		for _, n := range r.others(learner) {
			n.restart(2, 0)
		}
		r.run(versionAge / 2)
		if raised := r.leader().version() > ClusterVersionFormed; raised != (bugs != 0) {
			t.Fatalf("bugs %b: raised beside a learner that does not know it: %v", bugs, raised)
		}
		if bugs != 0 {
			return
		}
		learner.restart(2, 0)
		r.until("version 2", func() bool { return learner.version() == 2 })
	}, bugVersionOfVoters)
}

// TestVersionsAreToldLately: what a server has told counts neither when its connection has
// ended, as another program may follow, nor for longer than versionAge.
func TestVersionsAreToldLately(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		for _, way := range []string{"its connection has ended", "nothing is heard of it"} {
			r := newRig(t, 3, LeasesOff, bugs)
			for _, n := range r.nodes[:2] {
				n.restart(2, 0)
			}
			r.until("a leader", func() bool { return r.leader() != nil })
			r.run(2 * clockSignalGap)
			r.nodes[1].stop()
			if way == "its connection has ended" {
				r.nodes[0].feed(input{kind: inputUnreachable, peer: r.nodes[1].id})
				r.nodes[2].feed(input{kind: inputUnreachable, peer: r.nodes[1].id})
			} else {
				r.run(2 * versionAge)
			}
			r.nodes[2].stop()
			r.nodes[2].program = 2
			r.nodes[2].start()
			r.run(versionAge / 2)
			if raised := r.nodes[0].version() > ClusterVersionFormed; raised && bugs == 0 {
				t.Fatalf("raised by what a server has told of which %s", way)
			} else if !raised && bugs != 0 && r.nodes[0].machine.core.leads() {
				t.Fatalf("bugs %b: not raised, though %s", bugs, way)
			}
		}
	}, bugVersionKept)
}

// TestNobodyElseRaisesTheVersion: a leader does not take a peer's word for what all can do,
// and who is no member has none.
func TestNobodyElseRaisesTheVersion(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	for _, from := range r.others(leader) {
		a := ask{MemberChange: MemberChange{Kind: ChangeVersion, Raised: math.MaxInt64, ID: 7}, term: leader.machine.core.term}
		leader.feed(input{kind: inputSignalled, peer: from.id, bytes: a.signal()})
	}
	leader.feed(input{kind: inputSignalled, peer: 99, bytes: clockOf(9)})
	r.run(time.Second)
	if leader.version() != ClusterVersionFormed || len(leader.machine.core.versions.told) != 2 {
		t.Fatalf("the cluster has version %d, told was %v", leader.version(), leader.machine.core.versions.told)
	}
}

func clockOf(version uint64) []byte {
	b := frame.AppendInt(frame.AppendUint(frame.AppendArrayLen(nil, 3), signalClock), 5)
	return frame.AppendUint(b, version)
}

// raisedState returns a state of cluster version 2.
func raisedState(t *testing.T) *state {
	t.Helper()
	st := newState(&ReplicaConfig{ID: 1, Formed: formed(3), Boot: 1, Loops: 1, Machine: newSimMachine(), KnownVersion: 2})
	must(t, st.apply([]*pb.Entry{raising(t, st, 2)}, nil, &Batch{}))
	return st
}

// raising is the entry that raises the cluster version next.
func raising(t *testing.T, st *state, version uint64) *pb.Entry {
	t.Helper()
	_, cc, err := st.members.plan(&MemberChange{Kind: ChangeVersion, Version: st.members.Version, Raised: version})
	must(t, err)
	data, err := proto.Marshal(cc)
	must(t, err)
	return &pb.Entry{Type: pb.EntryConfChangeV2.Enum(), Index: new(st.index + 1), Term: new(uint64(1)), Data: data}
}

// TestOlderProgramEndsAtAVersionThatItDoesNotKnow: in the log, in a snapshot that it starts
// from or gets, and offline. It says what to do, and does not take the snapshot for lost.
func TestOlderProgramEndsAtAVersionThatItDoesNotKnow(t *testing.T) {
	const sentence = "the cluster has version 2, this program knows 1: run a newer raftcached"
	ends := func(where string, err error) {
		t.Helper()
		if !errors.Is(err, ErrLater) || errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: %v, want %q", where, err, sentence)
		}
	}
	raised := raisedState(t)
	older := &ReplicaConfig{ID: 1, Formed: formed(3), Boot: 1, Loops: 1, Machine: newSimMachine(), KnownVersion: 1}
	st := newState(older)
	ends("log", st.apply([]*pb.Entry{raising(t, st, 2)}, nil, &Batch{}))
	if st.index != 0 {
		t.Errorf("it has applied %d", st.index)
	}
	store, err := snapshot.Open(disktest.NewCrashable(), "snap", snapshot.Options{})
	must(t, err)
	meta, err := (&Offline{raised}).Write(simStore{store})
	must(t, err)
	ends("snapshot", restoreSnapshot(simStore{store}, meta, newState(older)))
	ends("offline", NewOffline(formed(3), newSimMachine()).Restore(simStore{store}, func(uint64, error) { t.Error("it is taken for damaged") }))
	ends("start", restoreNewest(emptyLog{first: meta.GetIndex() + 1}, simStore{store}, newState(older), slog.New(slog.NewTextHandler(io.Discard, nil))))

	same := newState(&ReplicaConfig{ID: 1, Formed: formed(3), Boot: 1, Loops: 1, Machine: newSimMachine(), KnownVersion: 2})
	must(t, restoreSnapshot(simStore{store}, meta, same))
	if same.members.ClusterVersion() != 2 || same.stateDigest() != raised.stateDigest() {
		t.Errorf("restored, the cluster version is %d", same.members.ClusterVersion())
	}
}

// emptyLog is a log without entries, which begins after a snapshot.
type emptyLog struct {
	Log
	first uint64
}

func (l emptyLog) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return &pb.HardState{Commit: new(l.first - 1)}, nil, nil
}
func (l emptyLog) FirstIndex() (uint64, error) { return l.first, nil }

// TestRecoveredClusterKeepsItsVersion: its state may be one that only programs of that
// version can write.
func TestRecoveredClusterKeepsItsVersion(t *testing.T) {
	for _, version := range []uint64{1, 2} {
		st := newState(&ReplicaConfig{ID: 1, Formed: formed(3), Boot: 1, Loops: 1, Machine: newSimMachine(), KnownVersion: 2})
		if version > 1 {
			st = raisedState(t)
		}
		st.index, st.term = max(st.index, 1), 1
		o := &Offline{st}
		must(t, o.Found(Member{ServerID: 2, RaftID: 9}, 5))
		store, err := snapshot.Open(disktest.NewCrashable(), "snap", snapshot.Options{})
		must(t, err)
		meta, err := o.Write(simStore{store})
		must(t, err)
		next := newState(&ReplicaConfig{ID: 9, Formed: []Member{{ServerID: 2, RaftID: 9}}, Boot: 1, Loops: 1, Machine: newSimMachine(), KnownVersion: 2})
		must(t, restoreSnapshot(simStore{store}, meta, next))
		if got := next.members; got.ClusterVersion() != version || !got.settled() || !got.sole(9) || len(got.Members) != 1 {
			t.Errorf("of a cluster of version %d one with members %+v is made", version, got)
		}
	}
}

// TestLaterFormatsMayHaveMoreFields: what is of a later version is told from what is malformed,
// however many fields it has.
func TestLaterFormatsMayHaveMoreFields(t *testing.T) {
	later := func(fields int, version uint64) []byte {
		b := frame.AppendUint(frame.AppendArrayLen(nil, fields), version)
		for range fields - 1 {
			b = frame.AppendUint(b, 7)
		}
		return b
	}
	r := frame.NewReader(later(9, entryVersion+1))
	_, entryErr := entryHeader(&r)
	_, changeErr := decodeChange(later(changeFields+1, changeVersion+1))
	_, _, _, headErr := readHead(later(snapshotHeadFields+1, snapshotRaised+1))
	for what, err := range map[string]error{"an entry": entryErr, "a change": changeErr, "a snapshot": headErr} {
		if !errors.Is(err, ErrLater) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r = frame.NewReader(later(9, entryVersion))
	_, entryErr = entryHeader(&r)
	_, changeErr = decodeChange(later(changeFields+1, changeVersion))
	_, _, _, headErr = readHead(later(snapshotHeadFields+1, snapshotRaised))
	for what, err := range map[string]error{"an entry": entryErr, "a change": changeErr, "a snapshot": headErr} {
		if err == nil || errors.Is(err, ErrLater) {
			t.Errorf("%s that is malformed: %v", what, err)
		}
	}
}
