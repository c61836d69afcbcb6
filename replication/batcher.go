package replication

import "slices"

const (
	// entryBytesTarget is the size at which an entry no longer waits for
	// company; raft's cost is per entry.
	entryBytesTarget = 64 << 10

	// entryBytesMax bounds the sub-batches joined into one entry. A single
	// sub-batch may exceed it, up to opsBytesMax.
	entryBytesMax = 256 << 10

	// entriesInFlightMax is how many uncommitted entries there may be before a
	// small entry waits in any case: under load the wait fills entries, without a timer.
	entriesInFlightMax = 4

	// entryHeadMax is the most that an entry has beside hints and sub-batches.
	entryHeadMax = 32

	// fullEntriesInFlightMax is how many there may be before one of entryBytesTarget waits.
	fullEntriesInFlightMax = 256
)

// batcher gathers encoded sub-batches on the leader until they are proposed, and
// read hints that go with them.
//
// Invariant: the hints of all entries so far are at most a tenth of the bytes of
// their sub-batches.
type batcher struct {
	queue []chunk
	bytes int

	hints   hints
	carried int // bytes of sub-batches whose share of hints was not used

	flying      []flight // in the order of the log
	flyingBytes int
}

// flight is an entry that is not known as committed, with the bytes of its sub-batches.
type flight struct {
	index uint64
	bytes int
}

// chunk is a run of n encoded sub-batches, in two pieces.
type chunk struct {
	n          int
	head, rest []byte
}

func (c *chunk) bytes() int { return len(c.head) + len(c.rest) }

// add queues n sub-batches of a peer, encoded. b keeps subs.
func (b *batcher) add(n int, subs []byte) {
	if n > 0 {
		b.put(chunk{n: n, rest: subs})
	}
}

// addOwn queues a sub-batch of this node. b keeps its operations, which are copied once:
// into the entry.
func (b *batcher) addOwn(s *SubBatch) {
	b.put(chunk{1, appendSubBatchHead(make([]byte, 0, subBatchHeadMax), s), s.Ops})
}

func (b *batcher) put(c chunk) {
	b.queue = append(b.queue, c)
	b.bytes += c.bytes()
}

// hint queues hints for the next entries; b keeps no reference to them.
func (b *batcher) hint(hashes []byte) { b.hints.add(hashes, hintsWaitingBytesMax) }

func (b *batcher) clear() { *b = batcher{} }

// ready reports whether an entry should be proposed while inFlight entries are
// uncommitted. It is worth its cost when it has as much to bring as is under way: so a few
// clients do not wait for each other, and many share two entries, not four.
func (b *batcher) ready(inFlight uint64) bool {
	switch {
	case b.bytes == 0:
		return false
	case b.bytes >= entryBytesTarget:
		return inFlight < fullEntriesInFlightMax
	default:
		return inFlight == 0 || inFlight < entriesInFlightMax && b.bytes >= b.flyingBytes
	}
}

// proposed notes the entry that was made last, of as many bytes of sub-batches.
func (b *batcher) proposed(index uint64, bytes int) {
	b.flying = append(b.flying, flight{index, bytes})
	b.flyingBytes += bytes
}

// committed forgets the entries up to an index.
func (b *batcher) committed(index uint64) {
	done := 0
	for done < len(b.flying) && b.flying[done].index <= index {
		b.flyingBytes -= b.flying[done].bytes
		done++
	}
	b.flying = slices.Delete(b.flying, 0, done) // few: they are copied, and none is allocated
}

// entry removes what fits one entry from the queue and returns it encoded.
func (b *batcher) entry(stampMs int64) []byte {
	n, size, k := 0, 0, 0
	for k < len(b.queue) && (k == 0 || size+b.queue[k].bytes() <= entryBytesMax && n+b.queue[k].n <= subBatchesMax) {
		n += b.queue[k].n
		size += b.queue[k].bytes()
		k++
	}
	hints := b.takeHints(size)
	entry := appendEntryHead(make([]byte, 0, len(hints)+size+entryHeadMax), stampMs, hints, n)
	for i := range b.queue[:k] {
		entry = append(append(entry, b.queue[i].head...), b.queue[i].rest...)
	}
	b.bytes -= size
	clear(b.queue[:k])
	b.queue = b.queue[k:]
	if len(b.queue) == 0 {
		b.queue = nil
	}
	return entry
}

// takeHints removes the hints that may go with sub-batches of the given size.
func (b *batcher) takeHints(subsBytes int) []byte {
	b.carried += subsBytes
	hints := b.hints.take(min(b.carried/hintShareDivisor, hintsBytesMax))
	b.carried = min(b.carried-len(hints)*hintShareDivisor, hintsCarriedBytesMax*hintShareDivisor)
	return hints
}
