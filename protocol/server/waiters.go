package server

import (
	"time"

	"raftcached/protocol"

	"raftcached/internal/item"
	"raftcached/internal/measure"
)

// fifo is a queue in a ring buffer, which doubles when it is full and never
// shrinks, so that nothing is allocated in steady state. The zero value is empty.
type fifo[T any] struct {
	ring []T // its length is zero or a power of two
	head int // index of the oldest
	n    int
}

// push appends v.
func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(64, 2*len(q.ring)))
		m := copy(grown, q.ring[q.head:])
		copy(grown[m:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

// front returns the oldest entry for reading and changing in place; nil if the
// queue is empty. It is valid until the next push or pop.
func (q *fifo[T]) front() *T {
	if q.n == 0 {
		return nil
	}
	return &q.ring[q.head]
}

// pop removes the oldest entry. The queue must not be empty.
func (q *fifo[T]) pop() {
	var zero T
	q.ring[q.head] = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
}

// writeWaiter is a write that the backend has accepted and not answered. When a
// connection closes its waiters stay: the answers still come, and are dropped.
type writeWaiter struct {
	c       *conn
	keys    int // answers to come: for get, gets, gat and gats one for each key, else 1
	command protocol.Command
	noReply bool
	read    bool // it changes nothing: see behind.go
	formed  bool // its form is in loop.forms; else it is that of Text
	failed  bool // of get, gets, gat and gats: the error line was written, and no more follows
	more    bool // of gat and gats: keys of the request follow
	owed    int  // bytes of values that the answers will have, about
	fields  item.Fields

	begun, sent time.Duration // see finished
	waited      measure.Cause
	counted     measure.Command
	nameBytes   uint8 // that its key takes in timing.names; 0: it is not there
}
