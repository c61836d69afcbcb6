package replication

import (
	"slices"
	"sync"
)

// inbox is an unbounded queue from many goroutines to one, which takes all of
// it at once. What may be in it is bounded by those who put: client operations
// by each event loop, messages of peers by what they may have in flight, and
// local responses by what was handed out.
type inbox[T any] struct {
	wake chan struct{} // capacity 1: something was put

	mu     sync.Mutex
	queued []T
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{wake: make(chan struct{}, 1)} }

func (b *inbox[T]) put(items ...T) {
	b.mu.Lock()
	b.queued = append(b.queued, items...)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// extract removes from the queue what matches, and returns it.
func (b *inbox[T]) extract(matches func(*T) bool) (items []T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queued = slices.DeleteFunc(b.queued, func(item T) bool {
		if matches(&item) {
			items = append(items, item)
			return true
		}
		return false
	})
	return items
}

// take returns everything queued; spare becomes the next queue's memory.
func (b *inbox[T]) take(spare []T) []T {
	clear(spare)
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.queued
	b.queued = spare[:0]
	return items
}
