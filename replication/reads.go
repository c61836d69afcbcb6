package replication

import (
	"encoding/binary"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
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

// readBatch is what one round of a majority confirms.
type readBatch struct {
	joins []join
	asked []*pb.Message // MsgReadIndex of peers, for who leads: one of each at most
}

func (b *readBatch) empty() bool { return len(b.joins) == 0 && len(b.asked) == 0 }

// reads confirms reads in batches through raft's ReadIndex (Raft thesis §6.4):
// one batch is in flight while the next one forms. Every attempt has an id of
// its own, never used again. An answer to any attempt confirms the batch,
// because a batch takes no more reads once it is in flight.
//
// A leader has the reads of its peers in its batches, so that at most one round of
// heartbeats is under way, whoever reads. See Core.askedToRead.
type reads struct {
	boot     uint64
	bugs     bugs
	forming  readBatch
	inflight readBatch
	batch    uint64 // number of the batch in flight
	attempt  uint64
	ticks    int // since the last attempt
	waiting  []confirmed
	support  support
}

// confirmed is a batch that waits until index is applied.
type confirmed struct {
	index uint64
	joins []join
}

func (r *reads) join(loop, n int, deadline time.Duration) {
	b := &r.forming
	if r.bugs.has(bugReadJoinsRound) && !r.inflight.empty() {
		b = &r.inflight
	}
	js := b.joins
	if k := len(js); k > 0 && js[k-1].loop == loop && js[k-1].deadline == deadline {
		js[k-1].n += n
		return
	}
	b.joins = append(js, join{loop, n, deadline})
}

// ask takes a peer's request. It is the newest of that peer, which does without an
// answer to an older one.
func (r *reads) ask(m *pb.Message) {
	b := &r.forming
	b.asked = slices.DeleteFunc(b.asked, func(o *pb.Message) bool { return o.GetFrom() == m.GetFrom() })
	b.asked = append(b.asked, m)
}

// next returns the id of an attempt that is now due, or nil.
func (r *reads) next() []byte {
	if r.inflight.empty() {
		if r.forming.empty() {
			return nil
		}
		r.inflight, r.forming = r.forming, readBatch{}
		r.batch++
		r.attempt = 0
	} else if r.ticks < readAttemptTicks {
		return nil
	}
	r.attempt++
	r.ticks = 0
	return r.id()
}

// id names the newest attempt.
func (r *reads) id() []byte {
	id := make([]byte, 0, readIDBytes)
	id = binary.BigEndian.AppendUint64(id, r.boot)
	id = binary.BigEndian.AppendUint64(id, r.batch)
	return binary.BigEndian.AppendUint64(id, r.attempt)
}

// begin begins a term, with another leader: attempts are made anew, and peers ask anew
// whom they have asked before.
func (r *reads) begin() {
	r.ticks = readAttemptTicks
	r.forming.asked, r.inflight.asked = nil, nil
	r.support = support{}
}

// confirm takes raft's answer to the attempt id, and returns whom of the peers it
// answers.
func (r *reads) confirm(id []byte, index uint64) (asked []*pb.Message) {
	if len(id) != readIDBytes || r.inflight.empty() ||
		binary.BigEndian.Uint64(id) != r.boot || binary.BigEndian.Uint64(id[8:]) != r.batch {
		return nil
	}
	if js := r.inflight.joins; len(js) > 0 {
		r.waiting = append(r.waiting, confirmed{index, js})
	}
	asked = r.inflight.asked
	r.inflight = readBatch{}
	return asked
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
	r.inflight.joins = expireJoins(r.inflight.joins, now, answer)
	r.forming.joins = expireJoins(r.forming.joins, now, answer)
}

func expireJoins(js []join, now time.Duration, answer func(loop, n int, ok bool)) []join {
	n := 0
	for n < len(js) && js[n].deadline <= now {
		answer(js[n].loop, js[n].n, false)
		n++
	}
	return js[n:]
}
