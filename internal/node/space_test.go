package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/protocol"
	"raftcached/replication"
)

// TestSpaceLevel: thresholds, and what it takes to count as better again.
func TestSpaceLevel(t *testing.T) {
	const reserve = 800
	for _, c := range []struct {
		free int64
		was  replication.Space
		want replication.Space
	}{
		{5000, replication.SpaceAmple, replication.SpaceAmple},
		{1600, replication.SpaceAmple, replication.SpaceAmple},
		{1599, replication.SpaceAmple, replication.SpaceTight},
		{800, replication.SpaceAmple, replication.SpaceTight},
		{799, replication.SpaceAmple, replication.SpaceLow},
		{0, replication.SpaceTight, replication.SpaceLow},
		{899, replication.SpaceLow, replication.SpaceLow},
		{900, replication.SpaceLow, replication.SpaceTight},
		{1799, replication.SpaceLow, replication.SpaceTight},
		{1799, replication.SpaceTight, replication.SpaceTight},
		{1800, replication.SpaceTight, replication.SpaceAmple},
		{1800, replication.SpaceLow, replication.SpaceAmple},
	} {
		if got := spaceLevel(c.free, reserve, c.was); got != c.want {
			t.Errorf("%d free of a reserve of %d, after %v: %v, want %v", c.free, reserve, spaceNames[c.was], spaceNames[got], spaceNames[c.want])
		}
	}
}

// TestRoomForSnapshot: a segment is left to the log, and a small snapshot is possible
// even if that much is not free.
func TestRoomForSnapshot(t *testing.T) {
	for _, c := range []struct{ free, segment, want int64 }{{100, 8, 92}, {12, 8, 4}, {10, 8, 2}, {7, 8, 1}, {4, 8, 1}, {0, 8, 0}} {
		if got := roomForSnapshot(c.free, c.segment); got != c.want {
			t.Errorf("%d of %d free, with segments of %d: want %d", got, c.free, c.segment, c.want)
		}
	}
}

// answered is a loop without connections that notes what it is answered.
type answered struct{ statuses []protocol.Status }

func (a *answered) Post(f func())                     { f() }
func (a *answered) WriteDone(r *protocol.Result)      { a.statuses = append(a.statuses, r.Status) }
func (a *answered) BarriersDone(int, protocol.Status) {}
func (a *answered) Awaited(any, bool)                 {}
func (a *answered) ResultsEnd()                       {}

// TestRefusedInItsTurn: what is refused while earlier writes wait is answered after
// them, whatever becomes of those.
func TestRefusedInItsTurn(t *testing.T) {
	e, err := engine.New(engine.Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	stored := func(tag uint64) []replication.Answer {
		results := machine{e}.Apply(1, engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte("k")}), nil, true)
		return []replication.Answer{{Tag: tag, Results: results}}
	}
	a := &answered{}
	l := &loopBackend{loop: a, reader: e.NewReader(), clock: func() time.Duration { return 0 }}
	want := func(story string, statuses ...protocol.Status) {
		t.Helper()
		if len(a.statuses) != len(statuses) {
			t.Fatalf("%s: answers %v, want %v", story, a.statuses, statuses)
		}
		for i := range statuses {
			if a.statuses[i] != statuses[i] {
				t.Fatalf("%s: answers %v, want %v", story, a.statuses, statuses)
			}
		}
		a.statuses = nil
	}
	const full, unknown = protocol.StatusOutOfMemory, protocol.StatusOutcomeUnknown
	for tag, count := range []int{1: 1, 2: 2, 3: 1, 4: 1, 5: 1} {
		if tag > 0 {
			l.waiting = append(l.waiting, submitted{tag: uint64(tag), count: count})
		}
	}
	l.Expired(2, false, replication.RefusalDiskFull)
	want("an earlier write waits")
	l.Answers(stored(1))
	want("it was stored", protocol.StatusStored, full, full)
	l.Expired(4, false, replication.RefusalDiskFull)
	l.Answers(stored(5))
	want("a snapshot held the third", unknown, full, protocol.StatusStored)
	a.statuses, l.waiting = nil, []submitted{{tag: 6, count: 2}, {tag: 7, count: 1}}
	l.Answers([]replication.Answer{{Tag: 6}})
	want("the leader could not read it", protocol.StatusMalformed, protocol.StatusMalformed)
	l.Answers([]replication.Answer{{Tag: 7, Results: stored(7)[0].Results}})
	want("the next one goes on", protocol.StatusStored)
	l.waiting = []submitted{{tag: 8, count: 2}}
	l.Answers(stored(8))
	want("it came back with fewer operations", unknown, unknown)
	if l.waiting != nil {
		t.Errorf("%d sub-batches wait for nothing", len(l.waiting))
	}
}

// TestFiguresDoNotWaitForTheDisk: event loops answer stats, and a disk may not answer. All are
// told what it was like, even if there is nothing to look at any more.
func TestFiguresDoNotWaitForTheDisk(t *testing.T) {
	cfg := loneConfig(t)
	cfg.DataDir = filepath.Join(cfg.DataDir, "data")
	n := openNode(t, cfg)
	away := cfg.DataDir + ".away"
	if err := os.Rename(cfg.DataDir, away); err != nil {
		t.Fatal(err)
	}
	list, _ := n.Stats("raft")
	status, sample := adminNode{n}.Status(t.Context()), n.sample()
	if err := os.Rename(away, cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	stat := "0"
	if i := slices.IndexFunc(list, func(s protocol.Stat) bool { return s.Name == "log_disk_bytes" }); i >= 0 {
		stat = list[i].Value
	}
	if stat == "0" || status.Disk == nil || status.Disk.LogBytes == 0 || sample.Disk == nil || sample.Disk.Log == 0 {
		t.Errorf("the log takes %s bytes in stats raft, in the status %+v, in the metrics %+v", stat, status.Disk, sample.Disk)
	}
}
