package store

// Usage is what a store takes of the machine. It differs between nodes.
type Usage struct {
	AllocatedBytes int64 // of segments, their holes included, and of the index
	IdleBytes      int64 // of memory that is kept for new segments
	PeakBytes      int64 // of address space that segments ever took
	IndexBuckets   int64
	IndexBytes     int64
	IndexResizing  bool
}

// Usage returns what the store takes.
func (s *Store) Usage() Usage {
	tables := s.index.state.Load()
	indexBytes := int64(len(tables.now.mem))
	if tables.old != nil {
		indexBytes += int64(len(tables.old.mem))
	}
	return Usage{
		AllocatedBytes: int64(s.arena.inUse)<<granuleShift + indexBytes,
		IdleBytes:      int64(s.arena.idle) << granuleShift,
		PeakBytes:      int64(s.arena.high) << granuleShift,
		IndexBuckets:   int64(tables.now.buckets),
		IndexBytes:     indexBytes,
		IndexResizing:  tables.old != nil,
	}
}

// OldestMs is when the first item of a queue came there, ms of Unix time, or when this
// node started if that was later; 0 without items. It is exact to the segment.
func (s *Store) OldestMs() int64 {
	oldest := int64(0)
	for q := range QueueCount {
		if first := s.queues[q].first; first != nil && s.count > 0 && (oldest == 0 || first.bornMs < oldest) {
			oldest = first.bornMs
		}
	}
	return oldest
}
