package identity

import "sync"

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

// KeepFloor replaces the floor. With now it is durable when KeepFloor returns.
// Otherwise it is written soon, on a goroutine of its own, and a crash before that
// leaves the one before. One goroutine at a time may call it.
func (id *Identity) KeepFloor(f Floor, now bool) error {
	id.mu.Lock()
	id.file.Floor = f
	id.mu.Unlock()
	if now {
		return id.save()
	}
	return id.soon.do(id.save)
}

// later saves on a goroutine that ends when there is nothing to save.
type later struct {
	mu      sync.Mutex
	again   bool // something was set since the last save began
	running bool
	err     error // the first failure; nothing is saved after it
	wg      sync.WaitGroup
}

// do has save called, once for all calls that come while it runs. It returns the
// error of an earlier save.
func (l *later) do(save func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = true
	if !l.running && l.err == nil {
		l.running = true
		l.wg.Go(func() { l.run(save) })
	}
	return l.err
}

func (l *later) run(save func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.again && l.err == nil {
		l.again = false
		l.mu.Unlock()
		err := save()
		l.mu.Lock()
		l.err = err
	}
	l.running = false
}

// close waits until nothing is saved any more.
func (l *later) close() error {
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
