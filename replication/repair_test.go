package replication

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// textMachine is a state machine whose state is the text that was applied to it.
type textMachine struct{ text string }

func (m *textMachine) Advance(int64)     {}
func (m *textMachine) TimeMs() int64     { return 0 }
func (m *textMachine) NextDueMs() int64  { return 0 }
func (m *textMachine) SizeBytes() int64  { return int64(len(m.text)) }
func (m *textMachine) View() View        { return textView(m.text) }
func (m *textMachine) Tidy() bool        { return false }
func (m *textMachine) Hint([]byte)       {}
func (m *textMachine) Formation() []byte { return nil }
func (m *textMachine) Apply(_ int, ops []byte, _ bool) (any, error) {
	m.text += string(ops)
	return nil, nil
}
func (m *textMachine) Digest() (contents, order uint64) { return uint64(len(m.text)), 0 }
func (m *textMachine) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.text = string(b)
	return err
}

// textView is the text at one index.
type textView string

func (v textView) Behind() bool { return false }
func (v textView) Next(dst []byte) (out []byte, more bool, err error) {
	return append(dst, v...), false, nil
}

// letter is the log entry at index i, which appends the letter of that number.
func letter(i int) *pb.Entry {
	sub := SubBatch{Origin: 9, Boot: 1, Seq: uint64(i), Count: 1, Ops: []byte{'a' + byte(i-1)}}
	return &pb.Entry{Index: new(uint64(i)), Term: new(uint64(1)), Data: appendEntry(nil, 1000, nil, 1, appendSubBatch(nil, &sub))}
}

// letters is a MsgStorageApply of the entries from lo to hi, answered by "lo-hi".
func letters(lo, hi int) *pb.Message {
	m := &pb.Message{Responses: []*pb.Message{{Context: fmt.Appendf(nil, "%d-%d", lo, hi)}}}
	for i := lo; i <= hi; i++ {
		m.Entries = append(m.Entries, letter(i))
	}
	return m
}

func answered(out *Batch) (contexts []string) {
	for _, m := range out.Report.Done {
		contexts = append(contexts, string(m.GetContext()))
	}
	return contexts
}

func newTextApplier(m *textMachine) *Applier { return NewApplier(1, 1, 1, m) }

// storeOf returns a store with one snapshot, of the state after that many
// letters.
func storeOf(t *testing.T, index int) (simStore, *pb.SnapshotMetadata) {
	t.Helper()
	store, err := snapshot.Open(disktest.NewCrashable(), "snap")
	if err != nil {
		t.Fatal(err)
	}
	a := newTextApplier(&textMachine{})
	var out Batch
	if err := a.Apply(letters(1, index), &out); err != nil {
		t.Fatal(err)
	}
	if err := keepDiverged(simStore{store}, a.Image()); err != nil {
		t.Fatal(err)
	}
	return simStore{store}, &pb.SnapshotMetadata{Index: new(uint64(index)), Term: new(uint64(1))}
}

// TestFrozenApplier: a frozen state keeps what is committed, lets go of what the
// repair covers, is replaced when raft has come to the repair's index, and goes
// on from there.
func TestFrozenApplier(t *testing.T) {
	m := &textMachine{}
	a := newTextApplier(m)
	store, meta := storeOf(t, 6)
	step := func(do func(*Batch) error, wantText string, wantStage RepairStage, wantAnswered ...string) {
		t.Helper()
		var out Batch
		if err := do(&out); err != nil {
			t.Fatal(err)
		}
		if got := answered(&out); m.text != wantText || out.Report.Repair != wantStage || !slices.Equal(got, wantAnswered) {
			t.Fatalf("state %q, stage %d, answered %q; want %q, %d, %q", m.text, out.Report.Repair, got, wantText, wantStage, wantAnswered)
		}
	}
	apply := func(lo, hi int) func(*Batch) error {
		return func(out *Batch) error { return a.Apply(letters(lo, hi), out) }
	}
	step(apply(1, 2), "ab", RepairNone, "1-2")
	m.text = "ax"
	step(func(out *Batch) error {
		if a.Freeze(out) == nil || a.Freeze(out) != nil {
			t.Fatal("not one image")
		}
		return nil
	}, "ax", RepairFrozen)
	step(apply(3, 4), "ax", RepairNone)
	old := &pb.SnapshotMetadata{Index: new(uint64(1)), Term: new(uint64(1))}
	step(func(out *Batch) error { a.Aim(old, out); return nil }, "ax", RepairNone)
	step(func(out *Batch) error { a.Aim(meta, out); return nil }, "ax", RepairAtHand, "3-4")
	if a.RepairDue() != nil {
		t.Fatal("due before the log is there")
	}
	step(apply(5, 8), "ax", RepairNone)
	if a.RepairDue() != meta {
		t.Fatal("not due")
	}
	step(func(out *Batch) error { return a.Install(store, meta, out) }, "abcdefgh", RepairDone, "5-8")
	if a.RepairDue() != nil || a.index != 8 {
		t.Fatalf("at index %d", a.index)
	}
	step(apply(9, 9), "abcdefghi", RepairNone, "9-9")
}

// TestRepairThatCannotBeRestored leaves the state frozen, until another comes.
func TestRepairThatCannotBeRestored(t *testing.T) {
	m := &textMachine{}
	a := newTextApplier(m)
	store, meta := storeOf(t, 2)
	var out Batch
	a.Freeze(&out)
	a.Aim(&pb.SnapshotMetadata{Index: new(uint64(1)), Term: new(uint64(1))}, &out)
	if err := a.Apply(letters(1, 2), &out); err != nil {
		t.Fatal(err)
	}
	if err := a.Install(store, a.RepairDue(), &out); err == nil || out.Report.Repair != RepairFrozen || a.RepairDue() != nil {
		t.Fatalf("installed what is not there: %v", err)
	}
	a.Aim(meta, &out)
	if err := a.Install(store, a.RepairDue(), &out); err != nil || m.text != "ab" || out.Report.Repair != RepairDone {
		t.Fatalf("state %q, %v", m.text, err)
	}
}

// TestRestoreBeyondCommit: the committed index is not synced whenever it moves. A
// snapshot beyond it is restored if the log has its entry, and then it is
// committed; if not, the snapshot waits.
func TestRestoreBeyondCommit(t *testing.T) {
	for _, test := range []struct {
		entries int // in the log; the snapshot is at 4
		want    string
		commit  uint64
	}{
		{5, "abcd", 4},
		{4, "abcd", 4},
		{3, "", 2},
	} {
		w, err := wal.Open(disktest.NewCrashable(), "wal", wal.Options{Bootstrap: simConfState()})
		if err != nil {
			t.Fatal(err)
		}
		log := simLog{w}
		hs := &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(1)), Commit: new(uint64(2))}
		if err := log.Save(hs, letters(1, test.entries).GetEntries(), nil, true); err != nil {
			t.Fatal(err)
		}
		store, _ := storeOf(t, 4)
		m := &textMachine{}
		if err := restoreNewest(log, store, newTextApplier(m), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		hs, _, err = log.InitialState()
		if err != nil || m.text != test.want || hs.GetCommit() != test.commit {
			t.Fatalf("%d entries: state %q, commit %d, %v; want %q, %d", test.entries, m.text, hs.GetCommit(), err, test.want, test.commit)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRepairHeader: a repair is told from a MsgSnap by its header.
func TestRepairHeader(t *testing.T) {
	meta := &pb.SnapshotMetadata{Index: new(uint64(1 << 40)), Term: new(uint64(7))}
	header := appendRepairHeader(nil, meta)
	index, term, err := readRepairHeader(header)
	if !isRepair(header) || err != nil || index != 1<<40 || term != 7 {
		t.Fatalf("index %d, term %d, %v", index, term, err)
	}
	for i := range header {
		if _, _, err := readRepairHeader(header[:i]); err == nil {
			t.Fatalf("%d bytes are a header", i)
		}
	}
	snap, err := proto.Marshal(&pb.Message{Type: pb.MsgSnap.Enum(), Snapshot: &pb.Snapshot{Metadata: meta}})
	if err != nil || isRepair(snap) || isRepair(nil) {
		t.Fatalf("a MsgSnap is a repair: %v", err)
	}
}
