package engine

import "raftcached/engine/store"

// Counts count since the formation. They are replicated state: equal on all nodes
// that have applied the same entries.
type Counts struct {
	TotalItems int64 // stores
	Evictions  int64
	Expired    int64

	// EvictedUnfetched and ExpiredUnfetched count items that were evicted or expired
	// although nobody had asked for them, as far as the log tells. It tells of reads
	// while the cache is nine tenths full; items that expire below that are not
	// counted.
	EvictedUnfetched int64
	ExpiredUnfetched int64
}

const countsCount = 5

// fields lists the counts in the order of the digest and of the image's head.
func (c *Counts) fields() [countsCount]*int64 {
	return [...]*int64{&c.TotalItems, &c.Evictions, &c.Expired, &c.EvictedUnfetched, &c.ExpiredUnfetched}
}

// Stats are the counts, and what else is told of the state. CurrItems, Bytes and
// LimitMaxBytes are equal on all nodes too, and Sum is.
type Stats struct {
	Counts
	CurrItems, Bytes, LimitMaxBytes int64

	// Sum is the sum of the items' digests: equal where the same items are held, in
	// whatever order, by another cluster too.
	Sum uint64

	// OldestMs is when the item that has been in its queue longest came there, or
	// this node started if that was later: ms of Unix time, 0 without items. It is
	// exact to the segment.
	OldestMs int64

	// EvictedAfterMs is how long the item that was evicted last had been in its
	// queue, likewise.
	EvictedAfterMs int64

	Seeded bool // keys are hashed with a seed

	store.Usage
}

// publishStats makes the numbers of Stats those of the state.
func (e *Engine) publishStats() {
	s := Stats{
		Counts: e.counts, CurrItems: e.st.Count(), Bytes: e.st.Total(), LimitMaxBytes: e.limits.MemoryBytes, Sum: e.st.Sum(),
		OldestMs: e.st.OldestMs(), EvictedAfterMs: e.evictedAfter, Usage: e.st.Usage(), Seeded: e.st.Seed() != 0,
	}
	e.statsMu.Lock()
	e.published = s
	e.statsMu.Unlock()
}

// Stats returns the numbers as of the last Advance or Apply. Any goroutine may call
// it.
func (e *Engine) Stats() Stats {
	e.statsMu.Lock()
	defer e.statsMu.Unlock()
	return e.published
}
