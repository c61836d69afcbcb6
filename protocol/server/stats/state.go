package stats

import "time"

// State is what the backend reports of the cache.
type State struct {
	Items      int64 // stored now
	TotalItems int64 // stored since the start
	Bytes      int64 // memory that the items are charged for
	LimitBytes int64 // memory that they may be charged for
	Evicts     bool  // when memory is full: evict items (true) or answer with an error (false)

	Evictions        int64 // items evicted
	EvictedUnfetched int64 // of them, never read
	Reclaimed        int64 // items that expired
	ExpiredUnfetched int64 // of them, never read
	GetExpired       int64 // misses because the item had expired

	Age        time.Duration // of the oldest item in its eviction queue
	EvictedAge time.Duration // of the item evicted last, when it was evicted

	Seeded bool // keys are hashed with a seed

	AllocatedBytes int64 // allocated for items and index
	IndexBuckets   int64
	IndexBytes     int64
	IndexResizing  bool
}

// since returns the state with the growth of its counts since base, an earlier
// state.
func (s State) since(base *State) State {
	s.TotalItems -= base.TotalItems
	s.Evictions -= base.Evictions
	s.EvictedUnfetched -= base.EvictedUnfetched
	s.Reclaimed -= base.Reclaimed
	s.ExpiredUnfetched -= base.ExpiredUnfetched
	s.GetExpired -= base.GetExpired
	return s
}
