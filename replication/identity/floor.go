package identity

import (
	"sync"
	"time"

	"raftcached/replication/disk"
)

// Floor is what the log of this data folder had at some time. It stands outside of
// the log, so that a log that was lost, or is an older copy, is noticed at the next
// start. It is never ahead of what is synced in the log.
type Floor struct {
	Segment uint64 `json:"segment"` // sequence number of the last segment; 0: there was no log
	Term    uint64 `json:"term"`
	Vote    uint64 `json:"vote"`  // in that term
	Index   uint64 `json:"index"` // of the last entry
}

// Floor returns the floor as it was last kept.
func (id *Identity) Floor() Floor {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Floor
}

// KeepFloor replaces the floor. With within 0 it is durable when KeepFloor returns.
// Otherwise a goroutine of its own begins to write it within that time, together with what
// else comes until then, and a crash before that leaves the one before. One goroutine at a
// time may call it.
func (id *Identity) KeepFloor(f Floor, within time.Duration) error {
	id.mu.Lock()
	id.file.Floor = f
	id.mu.Unlock()
	if within == 0 {
		return id.save()
	}
	return id.soon.do(within)
}

// later saves on a goroutine that ends when there is nothing to save.
type later struct {
	save func() error

	mu      sync.Mutex
	pending bool      // something was set since the last save began
	due     time.Time // of the next save, if one is pending
	sooner  chan struct{}
	running bool
	closed  bool  // nothing waits any more
	err     error // the first failure, but for a full disk; nothing is saved after it
	wg      sync.WaitGroup
}

// do has save called within a time, once for all calls that come before it is. It
// returns the error of an earlier save.
func (l *later) do(within time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if due := time.Now().Add(within); !l.pending || due.Before(l.due) {
		l.pending, l.due = true, due
		if l.running {
			l.hurry()
		}
	}
	if !l.running && l.err == nil {
		l.running, l.sooner = true, make(chan struct{}, 1)
		l.wg.Go(l.run)
	}
	return l.err
}

// hurry has the goroutine look at due again. The caller holds mu.
func (l *later) hurry() {
	select {
	case l.sooner <- struct{}{}:
	default:
	}
}

func (l *later) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pending && l.err == nil {
		if wait := time.Until(l.due); wait > 0 && !l.closed {
			l.mu.Unlock()
			select {
			case <-time.After(wait):
			case <-l.sooner:
			}
			l.mu.Lock()
			continue
		}
		l.pending = false
		l.mu.Unlock()
		err := l.save()
		l.mu.Lock()
		if disk.IsFull(err) { // the next call tries again
			l.pending = true
			break
		}
		l.err = err
	}
	l.running = false
}

// close saves what is pending, and waits until nothing is saved any more.
func (l *later) close() error {
	l.mu.Lock()
	l.closed = true
	if l.running {
		l.hurry()
	}
	l.mu.Unlock()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
