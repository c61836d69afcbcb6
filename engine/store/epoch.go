package store

import (
	"sync"
	"sync/atomic"
)

// epochs tell the applier when no reader can still use memory that it has retired. A
// reader announces the epoch in which it began, in a slot of its own, so that readers
// share no cache line that any of them writes. Memory that the applier retires gets the
// next epoch: it may be used again when every reader is idle or began in that epoch or
// later. Readers never wait. Nor does the applier, it asks again with its next
// operation.
type epochs struct {
	now     atomic.Uint64
	mu      sync.Mutex // for adding readers
	readers atomic.Pointer[[]*readerSlot]
}

// readerSlot holds the epoch in which a reader began, 0 while it is idle.
type readerSlot struct {
	_  [64]byte
	at atomic.Uint64
	_  [56]byte
}

func (e *epochs) init() {
	e.now.Store(1)
	e.readers.Store(new([]*readerSlot))
}

// add returns the slot of another reader.
func (e *epochs) add() *readerSlot {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := new(readerSlot)
	readers := append((*e.readers.Load())[:len(*e.readers.Load()):len(*e.readers.Load())], s)
	e.readers.Store(&readers)
	return s
}

// retire returns an epoch. Readers that begin in it or later cannot find what was made
// unreachable before.
func (e *epochs) retire() uint64 { return e.now.Add(1) }

// passed reports whether all readers have begun in the epoch or later.
func (e *epochs) passed(epoch uint64) bool {
	for _, s := range *e.readers.Load() {
		if at := s.at.Load(); at != 0 && at < epoch {
			return false
		}
	}
	return true
}

// enter begins a read.
func (e *epochs) enter(s *readerSlot) { s.at.Store(e.now.Load()) }

// leave ends it.
func (s *readerSlot) leave() { s.at.Store(0) }
