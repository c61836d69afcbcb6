package replication

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// describeAppend names effects of an appender in words.
func describeAppend(effects []appendEffect) (words []string) {
	for _, e := range effects {
		text := []string{"save", "install", "restart", "respond", "tell", "cut"}[e.kind]
		if e.hard != nil {
			text += fmt.Sprintf(" term %d commit %d", e.hard.GetTerm(), e.hard.GetCommit())
		}
		for _, entry := range e.entries {
			text += fmt.Sprintf(" %d/%d", entry.GetTerm(), entry.GetIndex())
		}
		if e.meta != nil {
			text += fmt.Sprintf(" at %d", e.meta.GetIndex())
		}
		if e.index > 0 {
			text += fmt.Sprintf(" to %d", e.index)
		}
		if e.sync {
			text += ", synced"
		}
		if e.kind == appendRespond {
			text += fmt.Sprintf(" %d own, %d to peers", len(e.own), len(e.peers))
		}
		words = append(words, text)
	}
	return words
}

// appendOf is a MsgStorageAppend with a response for this node and one for a peer.
func appendOf(term, commit, first, last uint64) appendInput {
	m := &pb.Message{Responses: []*pb.Message{{To: new(uint64(1))}, {To: new(uint64(2))}}}
	if term > 0 {
		m.Term, m.Vote, m.Commit = new(term), new(uint64(0)), new(commit)
	}
	for i := first; i <= last; i++ {
		m.Entries = append(m.Entries, &pb.Entry{Index: new(i), Term: new(term)})
	}
	return appendInput{message: m}
}

// TestAppender: what is queued becomes one write with one sync; a commit index
// alone needs none, unless members are told of what it covers; the log is cut before the
// rest, which may wait for the room; and a snapshot is installed
// before the log begins behind it, with the commit index that came with it.
func TestAppender(t *testing.T) {
	snap := appendOf(3, 90, 1, 0)
	snap.message.Snapshot = &pb.Snapshot{Metadata: metaAt(90)}
	for _, c := range []struct {
		name string
		in   []appendInput
		want []string
	}{
		{
			"entries",
			[]appendInput{appendOf(2, 0, 1, 3), appendOf(2, 1, 3, 4)},
			[]string{"save term 2 commit 1 2/1 2/2 2/3 2/4, synced", "respond 2 own, 2 to peers"},
		},
		{
			"a commit index and a cut",
			[]appendInput{{cut: 5}, appendOf(1, 7, 1, 0), {cut: 6}},
			[]string{"cut to 6", "save term 1 commit 7", "respond 1 own, 1 to peers"},
		},
		{
			"news of the members",
			[]appendInput{appendOf(1, 7, 1, 0), {news: &memberNews{}}, {cut: 6}},
			[]string{"cut to 6", "save term 1 commit 7, synced", "respond 1 own, 1 to peers", "tell"},
		},
		{
			"news of the members, and nothing to save",
			[]appendInput{{news: &memberNews{}}},
			[]string{"save, synced", "tell"},
		},
		{
			"a snapshot",
			[]appendInput{appendOf(2, 4, 5, 6), snap, appendOf(3, 91, 91, 91)},
			[]string{
				"save term 2 commit 4 2/5 2/6, synced", "install at 90", "restart term 3 commit 90 at 90, synced",
				"save term 3 commit 91 3/91, synced", "respond 3 own, 3 to peers",
			},
		},
	} {
		a := newAppender(&ReplicaConfig{ID: 1}, &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(0))})
		if got := describeAppend(a.step(c.in, nil)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestAppenderSavesInParts: many MiB go to the log in parts, of which only the last
// one is synced. It has the hard state.
func TestAppenderSavesInParts(t *testing.T) {
	in := appendOf(2, 1, 1, 5)
	for _, e := range in.message.Entries {
		e.Data = make([]byte, saveBytesTarget*2/3)
	}
	a := newAppender(&ReplicaConfig{ID: 1}, &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(0))})
	want := []string{"save 2/1 2/2", "save 2/3 2/4", "save term 2 commit 1 2/5, synced", "respond 1 own, 1 to peers"}
	if got := describeAppend(a.step([]appendInput{in}, nil)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
