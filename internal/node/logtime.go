package node

import (
	"time"

	"raftcached/protocol/server"
	"raftcached/replication"
)

// logTime is what an event loop knows of the log's time.
//
// An item that is alive by what is applied, and has expired by the loop's guess, is
// not shown. Its read waits for an empty sub-batch of the loop: what the leader stamps is
// in the log, and no other server shows the item again once one has found it
// expired.
type logTime struct {
	guess replication.Guess

	nowMs, lateMs int64 // of the guess, as of the last Barrier
	seems         bool  // the last read has withheld an item that may have expired

	asked   bool  // a sub-batch is on its way for
	waiters []any // these, of Await
}

// at is what the reader is told of the time for a read.
func (t *logTime) at(h server.Heed) (nowMs, lateMs int64) {
	if h.Timed {
		return t.nowMs, 0
	}
	return t.nowMs, t.lateMs
}

// withheld reports whether the last read has withheld an item.
func (l *loopBackend) withheld() bool {
	l.time.seems = l.reader.Late()
	return l.time.seems || l.reader.Due()
}

// awaitTime has a read wait until the time was asked for, and reports whether it has to:
// nobody can tell the time while no leader is known.
func (l *loopBackend) awaitTime(waiter any) (waits bool) {
	if !l.time.asked {
		if l.node.replica.Status().Leader == 0 {
			return false
		}
		l.time.asked = true
		l.lastTag++
		l.waiting = append(l.waiting, submitted{tag: l.lastTag, asked: max(1, l.clock()), at: l.clock()})
		l.node.replica.Submit(l.id, l.lastTag, 0, nil, nil, false)
	}
	l.time.waiters = append(l.time.waiters, waiter)
	return true
}

// learnTime takes that a sub-batch that asks for the time was applied.
func (l *loopBackend) learnTime(asked time.Duration) {
	now := l.gate.Now()
	l.time.guess.Learn(asked, now, l.reader.TimeMs())
	l.time.nowMs, l.time.lateMs = l.time.guess.At(now)
}

// timeOver has the reads go on that wait for the time, whether it was learnt or not.
func (l *loopBackend) timeOver() {
	waiters := l.time.waiters
	l.time.asked, l.time.waiters = false, nil
	for _, w := range waiters {
		l.loop.Awaited(w, true)
	}
}
