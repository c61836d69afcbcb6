package server

import (
	"math/rand/v2"
	"time"

	"raftcached/internal/measure"
	"raftcached/protocol"
)

// The latency of a request is the time from when the loop had read it to when its answer was
// given to the client's socket. What the network and the client take is not in it.
//
// Clocks are read seldom. A request that waits, as each write does, is measured: its loop
// reads the clock at most once for what begins in a turn, once for what goes on in it, and
// once for what ends there. So it may seem to have begun a part of a turn late, or early. A
// read that is answered at once takes less than the clock would be worth. Of the events in
// which a client sends such reads, one of sampledEvents is measured, by chance, and counts
// for all.
const sampledEvents = 16

// timing is what a loop notes of its requests. It belongs to the loop's goroutine, except
// for what measure makes readable.
type timing struct {
	loop      *loop
	latencies measure.Latencies
	sizes     measure.Histogram // of values that were stored, sampled
	hot       *measure.Ring     // nil: keys are not sampled

	at    time.Duration // the clock, as read in this turn
	fresh bool          // at is of this turn

	events  int           // until the next one that is measured
	sampled bool          // this one is
	began   time.Duration // this one, if it is sampled

	keys int // until the next one that is sampled

	finished []finished // to be counted when their answers are written; reused
	names    names      // of the writes that wait, oldest first, if slow ones are kept
	spent    spent
}

// finished are requests of one command that have the same beginning.
type finished struct {
	command     measure.Command
	begun, sent time.Duration // sent: the write was passed to the backend
	waited      measure.Cause // between them
	n           uint64
	nameBytes   int // of their keys, in names
}

// clock is the time of this turn.
func (t *timing) clock() time.Duration {
	if !t.fresh {
		t.fresh, t.at = true, t.loop.options.clock()
		t.loop.events.RequestTurnEnd()
	}
	return t.at
}

// gap is a random distance whose mean is n. A fixed one would meet the same connection
// again and again.
func gap(n int) int { return 1 + rand.IntN(2*n-1) }

// begin notes that a connection's input is handled.
func (t *timing) begin() {
	if t.events--; t.events <= 0 {
		t.events, t.sampled, t.began = gap(sampledEvents), true, t.loop.options.clock()
	}
}

// end notes that the answers of an event are written.
func (t *timing) end() {
	t.sampled = false
	if len(t.finished) > 0 {
		t.settle()
	}
}

// read notes a read that was answered.
func (c *conn) noteRead(req *protocol.Request, key []byte) {
	t := &c.loop.timing
	switch {
	case c.late.left > 0:
		t.finish(finished{command: commandOf(req.Command), begun: c.late.begun, n: 1})
		if took := t.clock() - c.late.begun; t.loop.isSlow(took) {
			t.noteSlow(commandOf(req.Command), key, t.at, took, &c.late.spent)
		}
	case t.sampled:
		t.finish(finished{command: commandOf(req.Command), begun: t.began, n: sampledEvents})
	}
}

// noteWrite notes a write that the backend has accepted.
func (c *conn) noteWrite(req *protocol.Request, w *writeWaiter) {
	t := &c.loop.timing
	w.sent = t.clock()
	w.begun = w.sent
	if c.late.left > 0 {
		w.begun, w.waited = c.late.begun, c.late.cause
	}
	if !w.more && c.loop.options.SlowTime > 0 {
		key := req.Key
		if len(req.Keys) > 0 {
			key = req.Keys[0]
		}
		w.nameBytes = t.names.push(key)
	}
	w.counted = counted[req.Command]
	switch {
	case !w.read:
		t.sampleWrite(req)
	case len(req.Keys) > 0:
		t.sample(req.Keys)
	default:
		t.sampleRead(req.Key)
	}
}

// finish counts requests, together with the ones before if they have the same beginning.
func (t *timing) finish(f finished) {
	if n := len(t.finished); n > 0 {
		last := &t.finished[n-1]
		if last.begun == f.begun && last.command == f.command && last.sent == f.sent && last.waited == f.waited {
			last.n += f.n
			return
		}
	}
	t.finished = append(t.finished, f)
}

// writeDone counts a write, as finish does.
func (t *timing) writeDone(w *writeWaiter) {
	if n := len(t.finished); n > 0 {
		last := &t.finished[n-1]
		if last.begun == w.begun && last.command == w.counted && last.sent == w.sent && last.waited == w.waited {
			last.n++
			last.nameBytes += int(w.nameBytes)
			return
		}
	}
	t.finished = append(t.finished, finished{
		command: w.counted, begun: w.begun, sent: w.sent, waited: w.waited, n: 1, nameBytes: int(w.nameBytes),
	})
}

// settle counts what has finished: its answers are written.
func (t *timing) settle() {
	now := t.loop.options.clock()
	var slow, nameBytes int
	for i := range t.finished {
		f := &t.finished[i]
		took := now - f.begun
		t.latencies[f.command].AddDuration(took, f.n)
		if nameBytes += f.nameBytes; f.nameBytes > 0 && t.loop.isSlow(took) {
			slow += int(f.n)
		}
	}
	if slow > 0 {
		t.keepSlow(now, slow)
	} else {
		t.names.drop(nameBytes)
	}
	clear(t.finished)
	t.finished = t.finished[:0]
}

// sample notes keys that were asked for, one of many.
func (t *timing) sample(keys [][]byte) {
	if t.keys -= len(keys); t.keys <= 0 {
		t.sampleSome(keys)
	}
}

func (t *timing) sampleSome(keys [][]byte) {
	for t.keys <= 0 {
		t.put(keys[len(keys)-1+t.keys], false)
		t.keys += gap(measure.SampleEvery)
	}
}

// sampleRead notes a key that was read, one of many.
func (t *timing) sampleRead(key []byte) {
	if t.keys--; t.keys <= 0 {
		t.keys = gap(measure.SampleEvery)
		t.put(key, false)
	}
}

// sampleWrite notes a write, one of many.
func (t *timing) sampleWrite(req *protocol.Request) {
	if t.keys--; t.keys > 0 {
		return
	}
	t.keys = gap(measure.SampleEvery)
	key := req.Key
	if len(req.Keys) > 0 {
		key = req.Keys[0]
	}
	if req.Command.IsStore() {
		t.sizes.AddSize(len(req.Value), measure.SampleEvery)
	}
	if len(key) > 0 {
		t.put(key, true)
	}
}

func (t *timing) put(key []byte, write bool) {
	if t.hot != nil && t.hot.Put(key, write) {
		t.loop.server.hot.wake()
	}
}

// late is since when the input at the front of a connection waits. Spans are bytes, as in
// reads.
type late struct {
	begun, next time.Duration // next: when the first bytes beyond left came
	left, more  int           // bytes that have waited since begun, and those beyond
	waits       time.Duration // since when it waits for what it waits for now
	spent       measure.Causes
	cause       measure.Cause // the last one
}

// begin notes that the first of size bytes of input has to wait for w.
func (d *late) begin(now time.Duration, size int, w wait) {
	if d.left == 0 {
		*d = late{begun: now, left: size}
	}
	d.waits, d.cause = now, causeOf[w]
}

// came notes that what it waited for has come.
func (d *late) came(now time.Duration) { d.spent[d.cause] += now - d.waits }

// arrived notes that there are size bytes of input while the first waits.
func (d *late) arrived(now time.Duration, size int) {
	if d.more == 0 {
		d.next = now
	}
	d.more = max(0, size-d.left)
}

// consume moves the spans past n bytes.
func (d *late) consume(n int) {
	if d.left -= n; d.left > 0 {
		return
	}
	more := max(0, d.more+d.left)
	*d = late{begun: d.next, left: more, spent: d.spent, cause: d.cause}
}

// causeOf is what a wait shows as.
var causeOf = [...]measure.Cause{
	waitWrites: measure.CauseOrder, waitFewerWrites: measure.CauseOrder, waitBarrier: measure.CauseConfirmation,
	waitChange: measure.CauseChange, waitListing: measure.CauseOrder, waitTurn: measure.CauseOrder, waitRefresh: measure.CauseOrder,
	waitBackend: measure.CauseRoom, waitClient: measure.CauseClient,
}

// counted is what each command is counted as.
var counted = func() (table [1 << 8]measure.Command) {
	for c := range table {
		table[c] = commandOf(protocol.Command(c))
	}
	return table
}()

// commandOf is what a command is counted as.
func commandOf(c protocol.Command) measure.Command {
	switch c {
	case protocol.Get, protocol.Gets, protocol.MetaGet, protocol.MetaDebug:
		return measure.Get
	case protocol.Gat, protocol.Gats, protocol.MetaGat:
		return measure.Gat
	case protocol.CAS:
		return measure.CAS
	case protocol.Delete:
		return measure.Delete
	case protocol.Incr, protocol.Decr:
		return measure.Incr
	case protocol.Touch:
		return measure.Touch
	}
	if c.IsStore() {
		return measure.Set
	}
	return measure.Other
}

// names is a queue of keys in a ring, which doubles when it is full. Each key has its
// length before it, in a byte.
type names struct {
	ring []byte // its length is zero or a power of two
	head int
	n    int // bytes
	buf  [measure.KeyBytesMax]byte
}

// push adds a key, and returns how many bytes it takes.
func (q *names) push(key []byte) (bytes uint8) {
	key = key[:min(len(key), measure.KeyBytesMax)]
	for q.n+1+len(key) > len(q.ring) {
		grown := make([]byte, max(4096, 2*len(q.ring)))
		m := copy(grown, q.ring[q.head:])
		copy(grown[m:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	at := (q.head + q.n) & (len(q.ring) - 1)
	q.ring[at] = byte(len(key))
	at = (at + 1) & (len(q.ring) - 1)
	if m := copy(q.ring[at:], key); m < len(key) {
		copy(q.ring, key[m:])
	}
	q.n += 1 + len(key)
	return uint8(1 + len(key))
}

// front is the oldest key, until the next call.
func (q *names) front() []byte {
	n, at := int(q.ring[q.head]), (q.head+1)&(len(q.ring)-1)
	if m := copy(q.buf[:n], q.ring[at:]); m < n {
		copy(q.buf[m:n], q.ring)
	}
	return q.buf[:n]
}

// drop removes the oldest keys, which take so many bytes.
func (q *names) drop(bytes int) {
	q.head = (q.head + bytes) & (len(q.ring) - 1)
	q.n -= bytes
}
