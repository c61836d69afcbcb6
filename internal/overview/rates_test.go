package overview

import (
	"errors"
	"math"
	"testing"
	"time"

	"raftcached/internal/admin"
)

// figured is the answer of a server that has counted something.
func figured(id int, started time.Time, reads, hits, writes uint64, counts ...uint64) Reply {
	return Reply{Status: &admin.Status{ID: id, Cluster: "c", StartedAt: started, Figures: &admin.Figures{
		Reads: reads, Hits: hits, Writes: writes, Commit: admin.Latency{UpToSeconds: []float64{0.001, 0.002, 0.004}, Counts: counts},
	}}}
}

// TestRates: the counts of all servers grow by so much a second; one that was started anew,
// came or does not answer does not count, nor does what was before.
func TestRates(t *testing.T) {
	at, old, anew := time.Unix(100, 0), time.Unix(1, 0), time.Unix(101, 0)
	before := &Sample{at, []Reply{figured(0, old, 100, 90, 10, 5, 5, 0, 0), figured(1, old, 50, 50, 50, 0, 0, 0, 0), figured(2, old, 9, 9, 9, 9, 9, 9, 9)}}
	after := &Sample{at.Add(2 * time.Second), []Reply{
		figured(0, old, 160, 120, 14, 5, 55, 50, 0), figured(1, old, 90, 80, 50, 0, 0, 0, 0), figured(2, anew, 1000, 1000, 1000, 900, 0, 0, 0),
		figured(3, old, 1000, 0, 0, 0, 0, 0, 0),
		{Err: errors.New("refused")},
	}}
	r := NewRates(before, after)
	if r == nil || r.Seconds != 2 || r.Reads != 50 || r.Writes != 2 || r.Hits == nil || math.Abs(*r.Hits-0.6) > 1e-9 {
		t.Fatalf("rates %+v", r)
	}
	if r.CommitP50 == nil || math.Abs(*r.CommitP50-2) > 1e-9 || math.Abs(*r.CommitP99-3.96) > 1e-9 {
		t.Errorf("commit %v, %v, want 2 and 3.96 ms", *r.CommitP50, *r.CommitP99)
	}
	if r.SyncP99 != nil || r.ReadP50 != nil {
		t.Errorf("without a measurement there is %v, %v", r.SyncP99, r.ReadP50)
	}
	if r := NewRates(after, &Sample{at.Add(3 * time.Second), after.Replies[3:4]}); r == nil || r.Hits != nil {
		t.Errorf("nothing was read, and the hit ratio is %+v", r)
	}
	if r := NewRates(before, &Sample{after.At, after.Replies[4:]}); r != nil {
		t.Errorf("nobody answers, and the rates are %+v", r)
	}
	if l := (admin.Latency{UpToSeconds: []float64{1, 2}, Counts: []uint64{0, 0, 4}}); *quantileMs(&l, 0.5) != 2000 {
		t.Errorf("what takes longer than all buckets: %v", *quantileMs(&l, 0.5))
	}
}

// TestSnapshot: keys of all servers are added up, the slowest come newest first, and events
// are those of one server.
func TestSnapshot(t *testing.T) {
	at := time.Unix(100, 0)
	a, b := figured(0, at, 0, 0, 0), figured(1, at, 0, 0, 0)
	a.Status.Term, b.Status.Term = 2, 2
	a.Status.Commit = 9
	a.Status.Figures.HotKeys = []admin.HotKey{{Key: "x", Reads: 5}, {Key: "y", Reads: 6}}
	b.Status.Figures.HotKeys = []admin.HotKey{{Key: "x", Reads: 3, Writes: 1}}
	a.Status.Figures.Slow = []admin.SlowCommand{{At: at, Key: "old"}}
	b.Status.Figures.Slow = []admin.SlowCommand{{At: at.Add(1), Key: "new"}}
	a.Status.Figures.Events = []admin.Event{{Text: "of 0"}}
	b.Status.Figures.Events = []admin.Event{{Text: "first"}, {Text: "second"}}
	now := &Sample{at, []Reply{a, b}}
	s := NewSnapshot(nil, now, 1, &Starter{})
	if s.Rates != nil || len(s.HotKeys) != 2 || s.HotKeys[0] != (admin.HotKey{Key: "x", Reads: 8, Writes: 1}) {
		t.Errorf("hot keys %+v, rates %v", s.HotKeys, s.Rates)
	}
	if len(s.Slow) != 2 || s.Slow[0].Key != "new" || s.Slow[0].Server != 1 {
		t.Errorf("slow %+v", s.Slow)
	}
	if s.Server != 1 || len(s.Events) != 2 || s.Events[0].Text != "second" {
		t.Errorf("events of %d: %+v", s.Server, s.Events)
	}
	if s := NewSnapshot(nil, now, 7, &Starter{}); s.Server != 0 {
		t.Errorf("the events are those of %d, want of the one that knows the most", s.Server)
	}
}
