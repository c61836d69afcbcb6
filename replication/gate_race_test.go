package replication

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	racingRounds = 1500
	racingReads  = 3 // of each loop in a round
	racingWrites = 2
	racingLoops  = 3
	racingKeys   = 4
)

// racing is a gate in use by goroutines: one publishes, one applies, and event loops read
// and wait. The value of a key is the index of the entry that has set it. In rounds, so
// that no later entry makes up for a wake-up that was lost.
type racing struct {
	t     *testing.T
	gate  *Gate
	rng   *rand.Rand
	lease Lease
	last  uint64
	moved [racingLoops]chan struct{} // as Client.Moved posts to it
	known [racingKeys]atomic.Uint64
	value [racingKeys]atomic.Uint64
}

type racingEntry struct {
	index uint64
	key   int
}

func racingKey(i int) string { return fmt.Sprintf("key-%d", i) }

func (r *racing) publish(index uint64, key int) {
	e := gateEntry(index, int64(index), gateSet(racingKey(key)))
	r.gate.publish(&Effects{Lease: r.lease, Append: []*pb.Message{{Entries: []*pb.Entry{e}}}})
}

// write writes an entry and has it applied, in one of the ways in which that may happen:
// known here first, or elsewhere while this node has no lease, or in place of entries of
// a leader that has lost.
func (r *racing) write(toApply chan<- racingEntry) {
	key := r.rng.IntN(racingKeys)
	until := r.gate.clock() + time.Second
	switch r.rng.IntN(4) {
	case 0:
		for i := range uint64(3) {
			r.publish(r.last+1+i, r.rng.IntN(racingKeys))
		}
		r.lease = Lease{Term: r.lease.Term + 1}
	case 1:
		r.lease.Until = 0
		r.gate.publish(&Effects{Lease: r.lease})
		r.known[key].Store(r.last + 1)
		r.lease.Until = until
	default:
		r.lease.Until = until
	}
	r.last++
	r.publish(r.last, key)
	r.known[key].Store(r.last)
	toApply <- racingEntry{r.last, key}
}

func (r *racing) apply(entries <-chan racingEntry) {
	for e := range entries {
		r.value[e.key].Store(e.index)
		r.gate.appliedTo(e.index)
	}
}

// read reads as an event loop does.
func (r *racing) read(loop, key int) {
	known := r.known[key].Load() // when the bytes have arrived
	if _, leased := r.gate.Leased(); !leased {
		return
	}
	index := r.gate.Look(engine.HashKey([]byte(racingKey(key)))).Index
	for index > 0 && r.gate.Await(loop, index) {
		select {
		case <-r.moved[loop]:
		case <-time.After(10 * time.Second):
			r.t.Errorf("loop %d waits for entry %d, and %d is applied of %d", loop, index, r.gate.applied.Load(), r.gate.End())
			return
		}
	}
	if got := r.value[key].Load(); got < known {
		r.t.Errorf("loop %d reads entry %d of a key, and %d was known to be committed", loop, got, known)
	}
}

// TestGateInUse races all that use a gate: no read misses what was known when it came, and
// no wake-up is lost.
func TestGateInUse(t *testing.T) {
	t.Parallel()
	r := &racing{t: t, gate: newGate(&simMachine{}, racingLoops, 100, 100), rng: rand.New(rand.NewPCG(1, 1)), last: 100}
	start := time.Now()
	r.gate.clock = func() time.Duration { return time.Since(start) }
	r.gate.moved = func(loop int) {
		select {
		case r.moved[loop] <- struct{}{}:
		default:
		}
	}
	for loop := range r.moved {
		r.moved[loop] = make(chan struct{}, 1)
	}
	toApply := make(chan racingEntry, racingWrites)
	var applier sync.WaitGroup
	applier.Go(func() { r.apply(toApply) })
	defer applier.Wait()
	defer close(toApply)
	for round := range racingRounds {
		var wait sync.WaitGroup
		for loop := range racingLoops {
			wait.Go(func() {
				for i := range racingReads {
					r.read(loop, (round+loop+i)%racingKeys)
				}
			})
		}
		for range racingWrites {
			r.write(toApply)
		}
		wait.Wait()
		if t.Failed() {
			return
		}
	}
}
