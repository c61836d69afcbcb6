package replication

const (
	// entryBytesTarget is the size at which an entry no longer waits for
	// company; raft's cost is per entry.
	entryBytesTarget = 64 << 10

	// entryBytesMax bounds the sub-batches joined into one entry. A single
	// sub-batch may exceed it, up to opsBytesMax.
	entryBytesMax = 256 << 10

	// entriesInFlightMax is how many uncommitted entries there may be before a
	// small entry waits: under load the wait fills entries, without a timer.
	entriesInFlightMax = 4
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
}

// chunk is a run of n encoded sub-batches.
type chunk struct {
	n    int
	subs []byte
}

func (b *batcher) add(n int, subs []byte) {
	if n > 0 {
		b.queue = append(b.queue, chunk{n, subs})
		b.bytes += len(subs)
	}
}

// hint queues hints for the next entries; b keeps no reference to them.
func (b *batcher) hint(hashes []byte) { b.hints.add(hashes, hintsWaitingBytesMax) }

func (b *batcher) clear() { *b = batcher{} }

// ready reports whether an entry should be proposed while inFlight entries are
// uncommitted.
func (b *batcher) ready(inFlight uint64) bool {
	return b.bytes > 0 && (inFlight < entriesInFlightMax || b.bytes >= entryBytesTarget && inFlight < 64*entriesInFlightMax)
}

// entry removes what fits one entry from the queue and returns it encoded.
func (b *batcher) entry(stampMs int64) []byte {
	n, size, k := 0, 0, 0
	for k < len(b.queue) && (k == 0 || size+len(b.queue[k].subs) <= entryBytesMax && n+b.queue[k].n <= subBatchesMax) {
		n += b.queue[k].n
		size += len(b.queue[k].subs)
		k++
	}
	subs := b.queue[0].subs
	if k > 1 {
		subs = make([]byte, 0, size)
		for _, c := range b.queue[:k] {
			subs = append(subs, c.subs...)
		}
	}
	b.bytes -= size
	clear(b.queue[:k])
	b.queue = b.queue[k:]
	if len(b.queue) == 0 {
		b.queue = nil
	}
	hints := b.takeHints(size)
	return appendEntry(make([]byte, 0, len(hints)+size+32), stampMs, hints, n, subs)
}

// takeHints removes the hints that may go with sub-batches of the given size.
func (b *batcher) takeHints(subsBytes int) []byte {
	b.carried += subsBytes
	hints := b.hints.take(min(b.carried/hintShareDivisor, hintsBytesMax))
	b.carried = min(b.carried-len(hints)*hintShareDivisor, hintsCarriedBytesMax*hintShareDivisor)
	return hints
}
