package engine

// Counts are of the replicated state: equal on all nodes that have applied the
// same entries.
type Counts struct {
	CurrItems, TotalItems, Bytes, Evictions, Expired, LimitMaxBytes int64

	// EvictedUnfetched and ExpiredUnfetched count items that went although nobody
	// had asked for them, as far as the log tells. It tells of reads while the
	// cache is nine tenths full; items that expire below that are not counted.
	EvictedUnfetched, ExpiredUnfetched int64
}

// Stats are the counts, and what differs between nodes.
type Stats struct {
	Counts

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

// unfetched counts what went without having been asked for; see Counts.
type unfetched struct{ evicted, expired int64 }

// The fields of Stats as publish leaves them for other goroutines.
const (
	statItems = iota
	statTotal
	statBytes
	statEvictions
	statExpired
	statLimit
	statEvictedUnfetched
	statExpiredUnfetched
	statOldest
	statEvictedAfter
	statAllocated
	statIndexBuckets
	statIndexBytes
	statIndexResizing
	statCount
)

// publishStats makes the numbers of Stats those of the state.
func (e *Engine) publishStats() {
	tables := e.st.index.state.Load()
	indexBytes := int64(len(tables.now.mem))
	if tables.old != nil {
		indexBytes += int64(len(tables.old.mem))
	}
	for i, v := range [statCount]int64{
		statItems: e.st.count, statTotal: e.totalItems, statBytes: e.st.total(),
		statEvictions: e.evictions, statExpired: e.expired, statLimit: e.limits.MemoryBytes,
		statEvictedUnfetched: e.unfetched.evicted, statExpiredUnfetched: e.unfetched.expired,
		statOldest: e.st.oldestMs(), statEvictedAfter: e.evictedAfter,
		statAllocated:    int64(e.st.arena.inUse)<<granuleShift + indexBytes,
		statIndexBuckets: int64(tables.now.buckets), statIndexBytes: indexBytes,
		statIndexResizing: int64(btoi(tables.old != nil)),
	} {
		if e.stats[i].Load() != v {
			e.stats[i].Store(v)
		}
	}
}

// Stats returns counts as of the last Advance or Apply. Any goroutine may call
// it.
func (e *Engine) Stats() Stats {
	load := func(i int) int64 { return e.stats[i].Load() }
	return Stats{
		Counts: Counts{
			CurrItems: load(statItems), TotalItems: load(statTotal), Bytes: load(statBytes),
			Evictions: load(statEvictions), Expired: load(statExpired), LimitMaxBytes: load(statLimit),
			EvictedUnfetched: load(statEvictedUnfetched), ExpiredUnfetched: load(statExpiredUnfetched),
		},
		OldestMs: load(statOldest), EvictedAfterMs: load(statEvictedAfter), AllocatedBytes: load(statAllocated),
		IndexBuckets: load(statIndexBuckets), IndexBytes: load(statIndexBytes), IndexResizing: load(statIndexResizing) != 0,
	}
}

// oldestMs returns when the first items of the queues came there; see Stats.
func (s *store) oldestMs() int64 {
	oldest := int64(0)
	for q := range queueCount {
		if first := s.queues[q].first; first != nil && s.count > 0 && (oldest == 0 || first.bornMs < oldest) {
			oldest = first.bornMs
		}
	}
	return oldest
}
