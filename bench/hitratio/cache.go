package hitratio

import (
	"context"
	"fmt"
)

// Nodes is how many batches a round has: one for each node of the cluster.
const Nodes = 3

// Cache is a cache to measure.
type Cache interface {
	// Round gets the keys of a round, and then sets those that missed. It returns
	// how many missed. There are Nodes batches; a key may occur twice.
	Round(batches [Nodes][]uint32) (misses int, err error)
}

// Run is a trace that is ready to be measured.
type Run struct {
	IDs    []uint32 // the keys of all requests
	Batch  int      // requests of a batch
	WarmUp int      // requests at the beginning whose misses do not count
}

// NewRun returns a run of whole rounds. It rounds warmUp and the length down.
func NewRun(ids []uint32, batch, warmUp int) Run {
	round := Nodes * batch
	return Run{IDs: ids[:len(ids)-len(ids)%round], Batch: batch, WarmUp: warmUp - warmUp%round}
}

// Measured returns the number of requests after the warm-up.
func (r Run) Measured() int { return len(r.IDs) - r.WarmUp }

// KeyCount returns a number above all keys of the run.
func (r Run) KeyCount() int {
	count := 0
	for _, id := range r.IDs {
		count = max(count, int(id)+1)
	}
	return count
}

// Measure sends the requests of a run to a cache, which should be empty, and returns
// how many requests after the warm-up missed.
func Measure(ctx context.Context, c Cache, r Run) (misses int, err error) {
	round := Nodes * r.Batch
	for at := 0; at+round <= len(r.IDs); at += round {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		var batches [Nodes][]uint32
		for i := range batches {
			batches[i] = r.IDs[at+i*r.Batch : at+(i+1)*r.Batch]
		}
		missed, err := c.Round(batches)
		if err != nil {
			return 0, fmt.Errorf("round at request %d: %w", at, err)
		}
		if at >= r.WarmUp {
			misses += missed
		}
	}
	return misses, nil
}
