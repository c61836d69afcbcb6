package replication

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// textMachine is a state machine whose state is the text that was applied to it.
type textMachine struct {
	text string

	parts  int  // of a view, empty ones, before the text
	behind bool // views are
	tidied int
}

func (m *textMachine) Advance(int64)     {}
func (m *textMachine) TimeMs() int64     { return 0 }
func (m *textMachine) NextDueMs() int64  { return 0 }
func (m *textMachine) OffsetMs() int64   { return 0 }
func (m *textMachine) SizeBytes() int64  { return int64(len(m.text)) }
func (m *textMachine) View() View        { return &textView{m, m.text, m.parts} }
func (m *textMachine) Tidy() bool        { m.tidied++; return false }
func (m *textMachine) Hint([]byte)       {}
func (m *textMachine) Formation() []byte { return nil }

func (m *textMachine) Correction(int64) []byte { return nil }

func (m *textMachine) Keys(int, []byte, func(uint64)) bool { return false }

func (m *textMachine) Apply(_ int, ops []byte, _ any, _ bool) any {
	m.text += string(ops)
	return nil
}

func (m *textMachine) Check(int, []byte) error          { return nil }
func (m *textMachine) Digest() (contents, order uint64) { return uint64(len(m.text)), 0 }
func (m *textMachine) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.text = string(b)
	return err
}

// textView is the text at one index.
type textView struct {
	m     *textMachine
	text  string
	parts int
}

func (v *textView) Behind() bool { return v.m.behind }
func (v *textView) Next(dst []byte) (out []byte, more bool, err error) {
	if v.parts > 0 {
		v.parts--
		return dst, true, nil
	}
	return append(dst, v.text...), false, nil
}

// letter is the log entry at index i, which appends the letter of that number.
func letter(i int) *pb.Entry {
	sub := SubBatch{Origin: letterOrigin, Boot: 1, Seq: uint64(i), Count: 1, Ops: []byte{'a' + byte(i-1)}}
	return &pb.Entry{Index: new(uint64(i)), Term: new(uint64(1)), Data: encodeEntry(1000, nil, 1, appendSubBatch(nil, &sub))}
}

// letters is a MsgStorageApply of the entries from lo to hi, answered by "lo-hi".
func letters(lo, hi int) *pb.Message {
	m := &pb.Message{Responses: []*pb.Message{{Context: fmt.Appendf(nil, "%d-%d", lo, hi)}}}
	for i := lo; i <= hi; i++ {
		m.Entries = append(m.Entries, letter(i))
	}
	return m
}

func newTextState(m *textMachine) *state {
	return newState(&ReplicaConfig{ID: 1, Formed: formed(letterOrigin), Boot: 1, Loops: 1, Machine: m})
}

// letterOrigin is the raft id of the node whose clients send letters.
const letterOrigin = 9

// formed are as many members, of raft ids from 1 on.
func formed(n int) (list []Member) {
	for i := range n {
		list = append(list, Member{ServerID: i, RaftID: uint64(i + 1), Directory: DirectoryID{byte(i + 1)}, Host: "h", LogPort: 7000 + i})
	}
	return list
}

// storeOf returns a store with one snapshot, of the state after that many
// letters.
func storeOf(t *testing.T, index int) (simStore, *pb.SnapshotMetadata) {
	t.Helper()
	store, err := snapshot.Open(disktest.NewCrashable(), "snap", snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st := newTextState(&textMachine{})
	if err := st.apply(letters(1, index).GetEntries(), nil, &Batch{}); err != nil {
		t.Fatal(err)
	}
	if err := keepDiverged(simStore{store}, st.image()); err != nil {
		t.Fatal(err)
	}
	return simStore{store}, &pb.SnapshotMetadata{Index: new(uint64(index)), Term: new(uint64(1))}
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
		w, err := wal.Open(disktest.NewCrashable(), "wal", wal.Options{Bootstrap: &pb.ConfState{Voters: []uint64{1, 2, 3}}})
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
		if err := restoreNewest(log, store, newTextState(m), slog.New(slog.DiscardHandler)); err != nil {
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
	at, err := readRepairHeader(header)
	if want := (position{1 << 40, 7}); !isRepair(header) || err != nil || at != want {
		t.Fatalf("header of %+v, %v; want %+v", at, err, want)
	}
	for i := range header {
		if _, err := readRepairHeader(header[:i]); err == nil {
			t.Fatalf("%d bytes are a header", i)
		}
	}
	snap, err := proto.Marshal(&pb.Message{Type: pb.MsgSnap.Enum(), Snapshot: &pb.Snapshot{Metadata: meta}})
	if err != nil || isRepair(snap) || isRepair(nil) {
		t.Fatalf("a MsgSnap is a repair: %v", err)
	}
}
