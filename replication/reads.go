package replication

import (
	"encoding/binary"
	"time"
)

// readAttemptTicks is how long an attempt to confirm a batch of reads may take
// before another one is made: a request or its answer may have been lost.
const readAttemptTicks = 10

// readIDBytes is the size of a ReadIndex context: boot, batch, attempt.
const readIDBytes = 24

// join is a number of reads of one event loop.
type join struct {
	loop, n  int
	deadline time.Duration
}

// reads confirms reads in batches through raft's ReadIndex (Raft thesis §6.4):
// one batch is in flight while the next one forms. Every attempt has an id of
// its own, never used again. An answer to any attempt confirms the batch,
// because a batch takes no more reads once it is in flight.
type reads struct {
	boot     uint64
	forming  []join
	inflight []join
	batch    uint64 // number of the batch in flight
	attempt  uint64
	ticks    int // since the last attempt
	waiting  []confirmed
}

// confirmed is a batch that waits until index is applied.
type confirmed struct {
	index uint64
	joins []join
}

func (r *reads) join(loop, n int, deadline time.Duration) {
	if k := len(r.forming); k > 0 && r.forming[k-1].loop == loop && r.forming[k-1].deadline == deadline {
		r.forming[k-1].n += n
		return
	}
	r.forming = append(r.forming, join{loop, n, deadline})
}

// next returns the id of an attempt that is now due, or nil.
func (r *reads) next() []byte {
	if len(r.inflight) == 0 {
		if len(r.forming) == 0 {
			return nil
		}
		r.inflight, r.forming = r.forming, nil
		r.batch++
		r.attempt = 0
	} else if r.ticks < readAttemptTicks {
		return nil
	}
	r.attempt++
	r.ticks = 0
	id := make([]byte, 0, readIDBytes)
	id = binary.BigEndian.AppendUint64(id, r.boot)
	id = binary.BigEndian.AppendUint64(id, r.batch)
	return binary.BigEndian.AppendUint64(id, r.attempt)
}

// retry makes another attempt due at once: the leader has changed.
func (r *reads) retry() { r.ticks = readAttemptTicks }

// confirm takes raft's answer to the attempt id.
func (r *reads) confirm(id []byte, index uint64) {
	if len(id) != readIDBytes || len(r.inflight) == 0 ||
		binary.BigEndian.Uint64(id) != r.boot || binary.BigEndian.Uint64(id[8:]) != r.batch {
		return
	}
	r.waiting = append(r.waiting, confirmed{index, r.inflight})
	r.inflight = nil
}

// applied answers the batches that waited for an index up to the given one.
func (r *reads) applied(index uint64, answer func(loop, n int, ok bool)) {
	n := 0
	for n < len(r.waiting) && r.waiting[n].index <= index {
		for _, j := range r.waiting[n].joins {
			answer(j.loop, j.n, true)
		}
		n++
	}
	if n > 0 {
		r.waiting = append(r.waiting[:0], r.waiting[n:]...)
	}
}

// expire fails the reads whose deadline has passed, oldest first.
func (r *reads) expire(now time.Duration, answer func(loop, n int, ok bool)) {
	for i := range r.waiting {
		r.waiting[i].joins = expireJoins(r.waiting[i].joins, now, answer)
	}
	r.inflight = expireJoins(r.inflight, now, answer)
	r.forming = expireJoins(r.forming, now, answer)
}

func expireJoins(js []join, now time.Duration, answer func(loop, n int, ok bool)) []join {
	n := 0
	for n < len(js) && js[n].deadline <= now {
		answer(js[n].loop, js[n].n, false)
		n++
	}
	return js[n:]
}
