package server

import "time"

// State is what the backend tells of the cache for the statistics.
type State struct {
	Items, TotalItems int64
	Bytes, LimitBytes int64 // of the items, as they are charged
	Evicts            bool  // false: an error is answered when memory is full

	Evictions, EvictedUnfetched int64
	Reclaimed, ExpiredUnfetched int64 // items that expired
	GetExpired                  int64 // misses that met an item that had expired

	Age        time.Duration // since the item that is in its queue longest came there
	EvictedAge time.Duration // the same of the item that was evicted last, then

	AllocatedBytes int64 // taken for items and index
	IndexBuckets   int64
	IndexBytes     int64
	IndexResizing  bool
}

// since returns the state with counts as they grew from base on, which is an
// earlier one.
func (s State) since(base *State) State {
	s.TotalItems -= base.TotalItems
	s.Evictions -= base.Evictions
	s.EvictedUnfetched -= base.EvictedUnfetched
	s.Reclaimed -= base.Reclaimed
	s.ExpiredUnfetched -= base.ExpiredUnfetched
	s.GetExpired -= base.GetExpired
	return s
}
