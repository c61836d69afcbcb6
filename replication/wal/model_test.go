package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"raftcached/replication/disk/disktest"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestModel drives a log and a slice through random appends, replacements,
// compactions, restarts after snapshots, reopenings and crashes.
func TestModel(t *testing.T) {
	t.Run("at once", func(t *testing.T) { testModel(t, testOptions) })
	inBackground := testOptions
	inBackground.Background = true
	t.Run("in the background", func(t *testing.T) { testModel(t, inBackground) })
}

func testModel(t *testing.T, o Options) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := disktest.NewCrashable()
		l := openWith(t, fs, o)
		m := model{hard: hard(0, 0, 0), voters: "[1 2 3]"}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 10).Draw(rt, "step") {
			case 0:
				must(t, l.Close())
				l = openWith(t, fs, o)
			case 10: // all was synced, so nothing is lost
				crashed := disktest.Crash(fs, rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)))
				must(t, l.Close())
				fs = crashed
				l = openWith(t, fs, o)
			case 1:
				to := m.base + rapid.Uint64Range(0, uint64(len(m.ents))).Draw(rt, "to")
				must(t, l.Compact(to))
				m.compact(to)
			case 2:
				m.hard.Term = new(m.hard.GetTerm() + 1)
				m.restart(m.last()+rapid.Uint64Range(1, 50).Draw(rt, "ahead"), m.hard.GetTerm())
				must(t, l.Save(Write{HardState: proto.CloneOf(m.hard), Snapshot: mark(m.base, m.baseTerm), Sync: true}))
			default:
				must(t, l.Save(m.draw(rt)))
			}
			if got, want := contents(t, l), m.text(); got != want {
				rt.Fatalf("log:\n%s\nmodel:\n%s", got, want)
			}
		}
		must(t, l.Close())
	})
}

type model struct {
	base, baseTerm uint64
	ents           []*pb.Entry
	hard           *pb.HardState
	voters         string
}

func (m *model) last() uint64 { return m.base + uint64(len(m.ents)) }

func (m *model) compact(to uint64) {
	if to > m.base {
		m.baseTerm = m.ents[to-m.base-1].GetTerm()
		m.ents = m.ents[to-m.base:]
		m.base = to
	}
	m.hard.Commit = new(max(m.hard.GetCommit(), to))
}

func (m *model) restart(index, term uint64) {
	m.base, m.baseTerm, m.ents, m.voters = index, term, nil, "[1 2 3 4]"
	m.hard.Commit = new(max(m.hard.GetCommit(), index))
}

// draw returns a write: entries after the commit index, or none.
func (m *model) draw(rt *rapid.T) Write {
	if rapid.Bool().Draw(rt, "new term") {
		m.hard.Term = new(m.hard.GetTerm() + 1)
	}
	committed := max(m.hard.GetCommit(), m.base)
	first := rapid.Uint64Range(committed+1, m.last()+1).Draw(rt, "first")
	n := rapid.Uint64Range(0, 5).Draw(rt, "entries")
	ents := entries(m.hard.GetTerm(), first, first+n-1)
	if n == 0 {
		ents = nil
	} else {
		m.ents = append(m.ents[:first-m.base-1:first-m.base-1], ents...)
	}
	m.hard.Commit = new(rapid.Uint64Range(committed, m.last()).Draw(rt, "commit"))
	return Write{HardState: proto.CloneOf(m.hard), Entries: ents, Sync: true}
}

func (m *model) text() string {
	s := fmt.Sprintf("term %d vote %d commit %d voters %s behind %d/%d:", m.hard.GetTerm(), m.hard.GetVote(), m.hard.GetCommit(), m.voters, m.base, m.baseTerm)
	for _, e := range m.ents {
		s += fmt.Sprintf(" %d/%d %q", e.GetIndex(), e.GetTerm(), e.GetData())
	}
	return s
}
