package node

import (
	"raftcached/engine"
	"raftcached/protocol/server"
	"raftcached/replication"
)

// keyWait is a read that waits until the change of an item is applied.
type keyWait struct {
	index  uint64
	waiter any // of server.Loop.Await
}

// isUnderWay reports whether a read of a key has to wait, as far as that is known
// without its item, and tells the reader what is due, and what time it is.
func (l *loopBackend) isUnderWay(key []byte, h server.Heed) bool {
	l.time.seems = false
	l.reader.SetTime(l.time.at(h))
	if !h.Changes {
		l.reader.SetDue(0)
		return false
	}
	s := l.sight(key, h)
	l.reader.SetDue(s.DueMs)
	return s.Index > 0
}

// sight is what a read of a key heeds.
func (l *loopBackend) sight(key []byte, h server.Heed) replication.Sight {
	if h.UpTo > 0 {
		return l.gate.LookUpTo(h.UpTo)
	}
	if l.gate.Still() {
		return replication.Sight{} // the key need not be hashed
	}
	return l.gate.Look(engine.HashKey(key))
}

// Await implements server.Loop. The first wait is for the last change of the keys. If an
// item then turns out to be due, there is a second one, for the log's end as of the
// first.
func (l *loopBackend) Await(keys [][]byte, h server.Heed, waiter any) (server.Heed, bool) {
	if l.time.seems {
		h.Timed = true
		return h, l.awaitTime(waiter)
	}
	index := h.UpTo
	if index == 0 {
		h.UpTo = max(1, l.gate.End())
		for _, key := range keys {
			index = max(index, l.gate.Look(engine.HashKey(key)).Index)
		}
		if index == 0 || index > h.UpTo {
			index = h.UpTo
		}
	}
	if !l.gate.Await(l.id, index) {
		return h, false
	}
	l.waits = append(l.waits, keyWait{index, waiter})
	return h, true
}

// goOn answers the reads whose wait has ended. Those that are left when there is no
// lease any more ask for a barrier.
func (l *loopBackend) goOn() {
	_, leased := l.gate.Leased()
	waits := l.waits
	l.waits = waits[:0]
	for _, w := range waits {
		switch {
		case !l.gate.Await(l.id, w.index):
			l.loop.Awaited(w.waiter, true)
		case !leased:
			l.loop.Awaited(w.waiter, false)
		default:
			l.waits = append(l.waits, w)
		}
	}
	clear(waits[len(l.waits):])
	l.loop.ResultsEnd()
}
