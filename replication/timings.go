package replication

import (
	"sync/atomic"
	"time"

	"raftcached/internal/measure"
)

// Timings are how long a node's parts take. Any goroutine may read them.
type Timings struct {
	// Sync is how long the append worker took to write entries, a vote or a mark to the log
	// and to sync them: once for each time.
	Sync measure.Histogram

	// Commit is, at the leader, the time from when an entry was proposed to when it was known
	// as committed: once for each entry. It is as exact as the raft loop's turns are short.
	Commit measure.Histogram

	// Apply is how long the applier took for the committed entries that it was given at
	// once: once for each time.
	Apply measure.Histogram

	// What may have made requests slow.
	leaderless, disk, holder, apply measure.Spells

	lost atomic.Pointer[loss] // the last peer whose streams went down
}

// loss is when the streams to a peer went down.
type loss struct {
	peer uint64
	at   time.Duration
}

// leaderWatch is which leader is known since when. It belongs to the raft loop.
type leaderWatch struct {
	leader uint64
	since  time.Duration
}

// observe notes at a time which leader is known; 0: none.
func (w *leaderWatch) observe(leader uint64, now time.Duration, t *Timings) {
	if leader == 0 {
		t.leaderless.Begin(now)
		return
	}
	// A leader that is gone is the known one until an election begins.
	if l := t.lost.Load(); l != nil && l.peer == w.leader && l.at > w.since && leader != w.leader {
		t.leaderless.Begin(now)
		t.leaderless.BeganAt(l.at)
	}
	t.leaderless.End(now)
	w.leader, w.since = leader, now
}

// Causes returns what this node has waited for in the time before now that a request took.
func (r *Replica) Causes(took time.Duration) (c measure.Causes) {
	now := time.Since(r.start)
	t, from := &r.timings, now-took
	c[measure.CauseLeader] = t.leaderless.Within(from, now)
	c[measure.CauseDisk] = t.disk.Within(from, now)
	c[measure.CauseHolder] = t.holder.Within(from, now)
	c[measure.CauseApply] = t.apply.Within(from, now)
	return c
}

// Timings returns how long the node's parts take.
func (r *Replica) Timings() *Timings { return &r.timings }

// proposedMax is how many turns in which entries were proposed are remembered, of those
// whose entries are not committed. The leader proposes while fewer than 256 are.
const proposedMax = 512

// commitClock times entries from their proposal on. It belongs to the raft loop.
type commitClock struct {
	turns  [proposedMax]proposed
	first  int // oldest in turns
	n      int
	last   uint64 // of the log, as seen
	commit uint64 // as counted
	term   uint64
	waited time.Duration // for holders of leases, as seen
}

// proposed are the entries up to an index that were proposed at a time.
type proposed struct {
	upTo uint64
	at   time.Duration
}

// observe looks at a status of the node at a time.
func (c *commitClock) observe(s *Status, now time.Duration, leads bool, t *Timings) {
	if !leads || s.Term != c.term {
		c.term, c.last, c.commit, c.n = s.Term, s.LastIndex, s.LastIndex, 0 // what there is, others have proposed
		return
	}
	if s.LastIndex > c.last {
		c.last = s.LastIndex
		if c.n < proposedMax {
			c.turns[(c.first+c.n)%proposedMax] = proposed{s.LastIndex, now}
			c.n++
		}
	}
	for c.n > 0 && c.commit < s.Commit {
		p := &c.turns[c.first]
		upTo := min(p.upTo, s.Commit)
		if upTo > c.commit {
			t.Commit.AddDuration(now-p.at, upTo-c.commit)
			c.commit = upTo
		}
		if p.upTo > s.Commit {
			break
		}
		c.first, c.n = (c.first+1)%proposedMax, c.n-1
	}
	c.commit = max(c.commit, s.Commit)
}

// observeStatus notes what the raft loop's turn has brought.
func (r *Replica) observeStatus(s *Status, now time.Duration) {
	r.commits.observe(s, now, s.Leader == s.ID, &r.timings)
	if total := s.HolderWaits.Total; total > r.commits.waited {
		r.timings.holder.Add(now-(total-r.commits.waited), now)
		r.commits.waited = total
	}
}
