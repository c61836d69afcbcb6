package engine

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
// LimitMaxBytes are equal on all nodes too.
type Stats struct {
	Counts
	CurrItems, Bytes, LimitMaxBytes int64

	// OldestMs is when the item that has been in its queue longest came there, or
	// this node started if that was later: ms of Unix time, 0 without items. It is
	// exact to the segment.
	OldestMs int64

	// EvictedAfterMs is how long the item that was evicted last had been in its
	// queue, likewise.
	EvictedAfterMs int64

	AllocatedBytes int64 // of segments, their holes included, and of the index
	IndexBuckets   int64
	IndexBytes     int64
	IndexResizing  bool
}

const statCount = countsCount + 8

// fields lists the numbers, for publishStats and Engine.Stats.
func (s *Stats) fields() (list [statCount]*int64) {
	for i, n := range s.Counts.fields() {
		list[i] = n
	}
	for i, n := range [...]*int64{
		&s.CurrItems, &s.Bytes, &s.LimitMaxBytes, &s.OldestMs, &s.EvictedAfterMs,
		&s.AllocatedBytes, &s.IndexBuckets, &s.IndexBytes,
	} {
		list[countsCount+i] = n
	}
	return list
}

// publishStats makes the numbers of Stats those of the state.
func (e *Engine) publishStats() {
	usage := e.st.Usage()
	s := Stats{
		Counts: e.counts, CurrItems: e.st.Count(), Bytes: e.st.Total(), LimitMaxBytes: e.limits.MemoryBytes,
		OldestMs: e.st.OldestMs(), EvictedAfterMs: e.evictedAfter,
		AllocatedBytes: usage.AllocatedBytes, IndexBuckets: usage.IndexBuckets, IndexBytes: usage.IndexBytes,
	}
	for i, n := range s.fields() {
		if e.stats[i].Load() != *n {
			e.stats[i].Store(*n)
		}
	}
	if e.indexResizing.Load() != usage.IndexResizing {
		e.indexResizing.Store(usage.IndexResizing)
	}
}

// Stats returns the numbers as of the last Advance or Apply. Any goroutine may call
// it.
func (e *Engine) Stats() (s Stats) {
	for i, n := range s.fields() {
		*n = e.stats[i].Load()
	}
	s.IndexResizing = e.indexResizing.Load()
	return s
}
