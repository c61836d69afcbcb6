package replication

import (
	"cmp"
	"slices"
	"sync"
)

// behind keeps what event loops want read between the operations of their sub-batches,
// until this node applies these. No other node is told of it.
//
// Such a read is linearizable: its sub-batch is not proposed before the read has come, so
// that everything that was acknowledged by then stands before it in the log. It shows what is
// committed, and when it is shown the others hold it in their logs, as with the result of a
// write (decision 48).
type behind struct {
	mu    sync.Mutex
	loops [][]behindOne // by tag
	bugs  bugs
}

// behindOne is what is to be read with one sub-batch.
type behindOne struct {
	tag   uint64
	reads any // of StateMachine.Apply
}

func newBehind(loops int, bugs bugs) *behind {
	return &behind{loops: make([][]behindOne, loops), bugs: bugs}
}

// put keeps reads for the sub-batch with a tag, before that is submitted. The event loop
// calls it.
func (b *behind) put(loop int, tag uint64, reads any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loops[loop] = append(b.loops[loop], behindOne{tag, reads})
}

// take returns the reads of the sub-batch with a tag, nil if there are none, and forgets
// those of earlier ones, which are not applied any more. The applier calls it.
func (b *behind) take(loop int, tag uint64) (reads any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.loops[loop]
	if len(kept) > 0 && b.bugs.has(bugBehindUntagged) {
		b.loops[loop] = kept[1:]
		return kept[0].reads
	}
	for len(kept) > 0 && kept[0].tag <= tag {
		if kept[0].tag == tag {
			reads = kept[0].reads
		}
		kept[0] = behindOne{}
		kept = kept[1:]
	}
	if len(kept) == 0 {
		kept = nil
	}
	b.loops[loop] = kept
	return reads
}

// drop forgets the reads of a sub-batch that is given up: others may be long in coming, and
// until then more and more would be kept. The raft loop calls it, when the event loop was
// told: results that lack the reads must not come before that.
func (b *behind) drop(loop int, tag uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.loops[loop]
	i, ok := slices.BinarySearchFunc(kept, tag, func(o behindOne, tag uint64) int { return cmp.Compare(o.tag, tag) })
	switch {
	case !ok || b.bugs.has(bugBehindKept):
		return
	case len(kept) == 1:
		kept = nil
	case i == 0:
		kept[0] = behindOne{}
		kept = kept[1:]
	default:
		kept = slices.Delete(kept, i, i+1)
	}
	b.loops[loop] = kept
}
