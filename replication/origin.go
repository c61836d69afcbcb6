package replication

import (
	"slices"
	"time"
)

// pending is a sub-batch of this node's clients that is not applied yet.
type pending struct {
	SubBatch
	frees    bool          // it is let through although disks are full
	deadline time.Duration // on the core's monotonic clock
}

// origin keeps what this node's event loops have submitted until this node
// itself has applied it.
//
// A sub-batch is parked, without a number, until a leader is known: if its
// deadline passes there, it was certainly not proposed. It gets its number when
// it is first sent. Everything numbered is sent again when the (term, leader)
// changes, when the stream to the leader was interrupted, and when a gap was
// seen in the log; otherwise the oldest one alone, once per election timeout,
// because a message can be lost without a sign. What outlives its deadline is
// answered, emptied, and sent on under its number, so that the sequence goes on
// and no old operation comes back later.
//
// How much may be outstanding is bounded where Submit is called: an event loop
// stops reading from its clients.
type origin struct {
	id, boot uint64
	parked   []*pending
	loops    []originLoop
}

type originLoop struct {
	lastSeq  uint64
	numbered []*pending // by sequence number
	answered int        // numbered[:answered] were answered "outcome unknown" and emptied
	lastSent time.Duration
}

func newOrigin(id, boot uint64, loops int) *origin {
	return &origin{id: id, boot: boot, loops: make([]originLoop, loops)}
}

func (o *origin) submit(loop int, tag uint64, count int, ops []byte, frees bool, deadline time.Duration) {
	o.parked = append(o.parked, &pending{
		SubBatch: SubBatch{Origin: o.id, Boot: o.boot, Loop: loop, Tag: tag, Count: count, Ops: ops},
		frees:    frees,
		deadline: deadline,
	})
}

// number gives every parked sub-batch its number and passes it to send.
func (o *origin) number(now time.Duration, send func(*SubBatch)) {
	for i, p := range o.parked {
		l := &o.loops[p.Loop]
		l.lastSeq++
		p.Seq = l.lastSeq
		l.numbered = append(l.numbered, p)
		l.lastSent = now
		send(&p.SubBatch)
		o.parked[i] = nil
	}
	o.parked = o.parked[:0]
}

// refuse answers what has no number yet: all, or what frees no room on disks.
func (o *origin) refuse(all bool, answer func(loop int, tag uint64)) {
	o.parked = slices.DeleteFunc(o.parked, func(p *pending) bool {
		if p.frees && !all {
			return false
		}
		answer(p.Loop, p.Tag)
		return true
	})
}

// resend passes everything that is numbered to send.
func (o *origin) resend(now time.Duration, send func(*SubBatch)) {
	for i := range o.loops {
		l := &o.loops[i]
		for _, p := range l.numbered {
			send(&p.SubBatch)
		}
		l.lastSent = now
	}
}

// probe passes the oldest sub-batch of each loop that has waited for longer
// than patience since it was last sent.
func (o *origin) probe(now, patience time.Duration, send func(*SubBatch)) {
	for i := range o.loops {
		l := &o.loops[i]
		if len(l.numbered) > 0 && now-l.lastSent > patience {
			send(&l.numbered[0].SubBatch)
			l.lastSent = now
		}
	}
}

// applied forgets the sub-batches of loop up to seq and names those that were
// not answered yet.
func (o *origin) applied(now time.Duration, loop int, seq uint64, forgotten func(tag uint64)) {
	l := &o.loops[loop]
	n := 0
	for n < len(l.numbered) && l.numbered[n].Seq <= seq {
		if n >= l.answered {
			forgotten(l.numbered[n].Tag)
		}
		n++
	}
	if n == 0 {
		return
	}
	clear(l.numbered[:n])
	l.numbered = l.numbered[n:]
	l.answered = max(0, l.answered-n)
	l.lastSent = now // progress: no probe is due
	if len(l.numbered) == 0 {
		l.numbered = nil
	}
}

// expire answers everything whose deadline has passed.
func (o *origin) expire(now time.Duration, answer func(loop int, tag uint64, sent bool)) {
	for i := range o.loops {
		l := &o.loops[i]
		for ; l.answered < len(l.numbered) && l.numbered[l.answered].deadline <= now; l.answered++ {
			p := l.numbered[l.answered]
			p.Ops, p.Count = nil, 0
			answer(i, p.Tag, true)
		}
	}
	n := 0
	for n < len(o.parked) && o.parked[n].deadline <= now {
		answer(o.parked[n].Loop, o.parked[n].Tag, false)
		n++
	}
	if n > 0 {
		o.parked = append(o.parked[:0], o.parked[n:]...)
	}
}
