package wal

import (
	"errors"
	"fmt"
	"sync"

	"raftcached/replication/disk"
)

// remover removes segments that are not needed any more, the oldest first, so
// that what is left has no gap at any time. To remove one is to drop what the
// system keeps of it in memory, 12 ms for 64 MiB: no write should wait for that.
type remover struct {
	fs         disk.FS
	dir        string
	background bool

	mu      sync.Mutex
	queue   []*segment
	running bool
	closed  bool
	err     error // the first one; what is behind it stays
	wg      sync.WaitGroup
}

// remove takes over segments, the oldest first. In the background it returns at
// once, with the error that an earlier removal had, if any.
func (r *remover) remove(gone []*segment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, gone...)
	if r.running || r.err != nil || len(r.queue) == 0 {
		return r.err
	}
	if !r.background {
		r.drain()
		return r.err
	}
	r.running = true
	r.wg.Go(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drain()
		r.running = false
	})
	return nil
}

// drain empties the queue. It holds the lock, but not while it removes.
func (r *remover) drain() {
	for len(r.queue) > 0 && r.err == nil && !r.closed {
		seg := r.queue[0]
		r.queue = r.queue[1:]
		r.mu.Unlock()
		// A reader may still hold the segment: entries below the first index are
		// not looked up any more, and a read under way fails as compacted.
		err := errors.Join(seg.file.Close(), r.fs.Remove(segmentName(r.dir, seg.seq)))
		r.mu.Lock()
		if err != nil {
			r.err = fmt.Errorf("remove segment %d: %w", seg.seq, err)
		}
	}
}

// close waits for the removal under way and closes the files of what is left,
// which the next compaction after a start removes.
func (r *remover) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wg.Wait()
	var errs []error
	for _, seg := range r.queue {
		errs = append(errs, seg.file.Close())
	}
	r.queue = nil
	return errors.Join(errs...)
}
