package store

import (
	"sync"
	"sync/atomic"
)

// Current is the store that readers use, with the ones before it that readers may
// still be in. Its zero value is not ready for use, see Init.
type Current struct {
	epochs  epochs
	store   atomic.Pointer[Store]
	retired []retiredStore
	closing sync.WaitGroup
}

type retiredStore struct {
	store *Store
	epoch uint64
}

// Init makes it ready. Replace must follow before a reader enters.
func (c *Current) Init() { c.epochs.init() }

// Replace makes s the store that readers use, and retires the one before.
func (c *Current) Replace(s *Store) {
	s.epochs = &c.epochs
	if before := c.store.Swap(s); before != nil {
		c.retired = append(c.retired, retiredStore{store: before, epoch: c.epochs.retire()})
	}
}

// Release releases the memory of the retired stores that no reader can be in. That
// takes the kernel long, so another goroutine waits for it.
func (c *Current) Release() {
	for len(c.retired) > 0 && c.epochs.passed(c.retired[0].epoch) {
		s := c.retired[0].store
		c.retired = c.retired[1:]
		c.closing.Go(s.Close)
	}
}

// Close releases all memory. Nothing else may be called any more, by readers neither.
func (c *Current) Close() {
	c.closing.Wait()
	for _, r := range c.retired {
		r.store.Close()
	}
	c.store.Load().Close()
}

// Reader reads the current store while the applier changes it. It takes no lock and
// never waits, see epochs.
type Reader struct {
	current *Current
	slot    *readerSlot

	touched uint32 // keeps the loads of Prepare from being optimised away
}

// NewReader returns another reader. Any goroutine may call it. Readers last as long
// as c.
func (c *Current) NewReader() Reader { return Reader{current: c, slot: c.epochs.add()} }

// Enter begins a read of the store that it returns. Leave must follow soon: memory
// that the applier retires meanwhile is not used again before.
func (r *Reader) Enter() *Store {
	r.current.epochs.enter(r.slot)
	return r.current.store.Load()
}

// Leave ends a read.
func (r *Reader) Leave() { r.slot.leave() }

const (
	// prepareMax is how many keys Prepare takes at a time: their lines must fit the
	// nearest cache.
	prepareMax = 32

	// prepareBuckets is the size of the index, 4 MiB, up to which Prepare does
	// nothing: much of it lies in caches then.
	prepareBuckets = 1 << 16
)

// Prepare loads into the processor's caches what Lookup needs for the keys. Each key
// costs two accesses to memory that nothing has touched lately, and the second waits
// for the first; here those of all keys are under way at once. It pays where the items
// are many more than the caches hold, and costs a hash for each key.
func (r *Reader) Prepare(keys [][]byte) {
	s := r.Enter()
	if s.index.state.Load().now.buckets < prepareBuckets {
		keys = nil
	}
	for len(keys) > 0 {
		n := min(len(keys), prepareMax)
		r.touched += s.prepare(keys[:n])
		keys = keys[n:]
	}
	r.Leave()
}

func (s *Store) prepare(keys [][]byte) (sum uint32) {
	var hashes [prepareMax]uint64
	var handles [prepareMax]Handle
	for i, key := range keys {
		hashes[i] = s.Hash(key)
		sum += s.index.touch(hashes[i])
	}
	for i := range keys {
		handles[i] = s.index.likely(hashes[i])
	}
	for _, h := range handles[:len(keys)] {
		if h != 0 {
			sum += s.arena.touch(h)
		}
	}
	return sum
}
