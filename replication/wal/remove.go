package wal

import (
	"errors"
	"fmt"
	"sync"

	"raftcached/replication/disk"
)

// remover removes segments that are no longer needed. It begins with the oldest, so
// that the remaining ones never have a gap. Removing a segment also drops it from
// the page cache, which takes 12 ms for 64 MiB; no write should wait for that.
type remover struct {
	fs         disk.FS
	dir        string
	background bool

	mu      sync.Mutex
	queue   []*segment
	running bool
	closed  bool
	err     error // the first one; nothing is removed after it
	wg      sync.WaitGroup
}

// remove removes segments, given oldest first. In the background it returns
// immediately, with the error of an earlier removal, if any.
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

// drain empties the queue. The caller holds mu, which is released during removals.
func (r *remover) drain() {
	for len(r.queue) > 0 && r.err == nil && !r.closed {
		seg := r.queue[0]
		r.queue = r.queue[1:]
		r.mu.Unlock()
		// No reader uses the segment: its entries are below the first index, and
		// reading those fails with ErrCompacted.
		err := errors.Join(seg.file.Close(), r.fs.Remove(segmentName(r.dir, seg.seq)))
		r.mu.Lock()
		if err != nil {
			r.err = fmt.Errorf("remove segment %d: %w", seg.seq, err)
		}
	}
}

// close waits for the current removal and closes the files of the remaining
// segments. The first compaction after the next start removes those.
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
