package measure

import "sync/atomic"

const (
	// SampleEvery is of how many keys one is sampled, on average. Each sample counts for so
	// many.
	SampleEvery = 64

	// KeyBytesMax is the longest key that a Ring takes (protocol.txt, "Keys").
	KeyBytesMax = 250

	ringSamples = 512 // 128 KiB; what does not fit is counted, and made up for
)

// Ring carries sampled keys from the goroutine that serves requests to the one that
// counts them. One goroutine may call Put, one Drain.
type Ring struct {
	head atomic.Uint64 // samples that were put
	_    [56]byte
	tail atomic.Uint64 // samples that were drained
	_    [56]byte
	lost atomic.Uint64 // samples that found no room
	ring [ringSamples]sample
}

type sample struct {
	writes bool
	length uint8
	key    [KeyBytesMax]byte
}

// Put adds a copy of a key, and reports whether somebody must drain the ring soon: it was
// empty, or Drain may have found it so before the key was there. A ring that is full takes none.
func (r *Ring) Put(key []byte, writes bool) (wake bool) {
	head, tail := r.head.Load(), r.tail.Load()
	if head-tail == ringSamples || len(key) > KeyBytesMax {
		r.lost.Add(1)
		return false
	}
	s := &r.ring[head%ringSamples]
	s.writes, s.length = writes, uint8(copy(s.key[:], key))
	r.head.Store(head + 1)
	return r.tail.Load() == head
}

// Drain takes all samples. Each counts for more than one if others found no room.
func (r *Ring) Drain(take func(key []byte, writes bool, n float64)) (taken uint64) {
	head, tail := r.head.Load(), r.tail.Load()
	if head == tail {
		return 0
	}
	n := 1 + float64(r.lost.Swap(0))/float64(head-tail)
	for ; tail < head; tail++ {
		s := &r.ring[tail%ringSamples]
		take(s.key[:s.length], s.writes, n)
		r.tail.Store(tail + 1)
		taken++
	}
	return taken
}
