package wal

import (
	"fmt"
	"math"
	"time"

	"raftcached/replication/disk"
)

// Floor is what a log had at some time, as it was noted outside of the log. A log
// that has less has lost something, however sound its files look. The floor is lowered
// before entries that were not committed are replaced by fewer.
type Floor struct {
	Segment uint64 // sequence number of the last segment; 0: there was no log
	Term    uint64 // of the hard state
	Vote    uint64 // of the hard state
	Index   uint64 // of the last entry
}

// LostError reports that a log has less than its floor.
type LostError struct{ Reason string }

func (e *LostError) Error() string { return "it is not complete: " + e.Reason }

// checkFloor compares what was recovered with the floor. Every Open begins a
// segment, so a copy of an earlier start is found by its segments.
func (l *Log) checkFloor(seqs []uint64) error {
	f := &l.options.Floor
	last := uint64(0)
	if len(seqs) > 0 {
		last = seqs[len(seqs)-1]
	}
	var reason string
	switch hard := l.hard; {
	case f.Segment > 0 && last == 0:
		reason = "all of its segments are missing"
	case last < f.Segment:
		reason = fmt.Sprintf("its last segment is %d, there was a segment %d", last, f.Segment)
	case l.index.last() < f.Index:
		reason = fmt.Sprintf("it ends with entry %d, there was an entry %d", l.index.last(), f.Index)
	case hard.GetTerm() < f.Term:
		reason = fmt.Sprintf("it ends with term %d, there was a term %d", hard.GetTerm(), f.Term)
	case hard.GetTerm() == f.Term && f.Vote != 0 && hard.GetVote() != f.Vote:
		reason = fmt.Sprintf("its vote in term %d is not the one that was given", f.Term)
	default:
		return nil
	}
	return &LostError{Reason: reason}
}

// floor is the log's present floor. Everything in it must be synced.
func (l *Log) floor() Floor {
	return Floor{
		Segment: l.segments[len(l.segments)-1].seq,
		Term:    l.hard.GetTerm(), Vote: l.hard.GetVote(), Index: l.index.last(),
	}
}

// How soon the floor is kept. It costs a write of the identity file, which takes longer
// than a sync of the log.
const (
	noteNow   = 0
	noteSoon  = time.Millisecond // it has what must not be lost: a vote, a segment, a snapshot
	noteLater = time.Second      // it has more entries
)

// note has the present floor kept; with noteNow, it is durable when note returns.
// Otherwise a crash may lose it, which leaves a lower floor.
func (l *Log) note(within time.Duration) error {
	f := l.floor()
	if l.options.KeepFloor == nil || f == l.noted {
		return nil
	}
	// On a full disk the floor before may stay, which is lower.
	if err := l.options.KeepFloor(f, within); err != nil && !disk.IsFull(err) {
		return fmt.Errorf("note the floor: %w", err)
	}
	l.noted = f
	return nil
}

// lower makes sure that the entry last may become the log's last one. It is called
// before entries after it are replaced, which is rare.
func (l *Log) lower(last uint64) error {
	if l.options.KeepFloor == nil || last >= l.noted.Index {
		return nil
	}
	f := l.noted
	f.Index = last
	if err := l.options.KeepFloor(f, noteNow); err != nil {
		return fmt.Errorf("lower the floor: %w", full(err))
	}
	l.noted = f
	return nil
}

// lastKept is the last entry that a write leaves as it is, and the highest index if
// it replaces none.
func lastKept(w *Write) uint64 {
	switch {
	case w.Snapshot != nil:
		return w.Snapshot.GetIndex()
	case len(w.Entries) > 0:
		return w.Entries[0].GetIndex() - 1
	default:
		return math.MaxUint64
	}
}
