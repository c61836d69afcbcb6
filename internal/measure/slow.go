package measure

import (
	"slices"
	"sync"
	"time"
)

// SlowMax is how many slow commands are kept. The oldest makes room.
const SlowMax = 128

// Cause is what a slow command has waited for.
type Cause uint8

// The causes. They may overlap, and a command may have waited for something else too, as
// for another server's disk.
const (
	CauseLeader       Cause = iota // no leader was known
	CauseDisk                      // this server's disk has synced
	CauseHolder                    // the leader, which this server was, waited for the holder of a lease
	CauseApply                     // this server has applied entries
	CauseConfirmation              // a read: a majority was asked
	CauseChange                    // a read: a change of its item was under way
	CauseRoom                      // a write: as much was under way as may be
	CauseOrder                     // earlier requests of its connection
	CauseClient                    // the client did not take its answers
	CauseCount
)

func (c Cause) String() string {
	return [CauseCount]string{"leader", "disk", "holder", "apply", "confirmation", "change", "room", "order", "client"}[c]
}

// Causes is how long a command has waited for each cause.
type Causes [CauseCount]time.Duration

// Slow is a slow command.
type Slow struct {
	At      time.Time // when it was answered
	Command Command
	Key     string // any bytes; the first one of several
	Took    time.Duration
	Causes  Causes
}

// SlowLog keeps the last slow commands.
type SlowLog struct {
	mu   sync.Mutex
	ring []Slow
	seen uint64
}

// Add keeps a command.
func (l *SlowLog) Add(s Slow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < SlowMax {
		l.ring = append(l.ring, s)
	} else {
		l.ring[l.seen%SlowMax] = s
	}
	l.seen++
}

// List returns what is kept, the newest first, and how many there have been.
func (l *SlowLog) List() (list []Slow, seen uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int(l.seen % uint64(max(1, len(l.ring))))
	list = append(list, l.ring[n:]...)
	list = append(list, l.ring[:n]...)
	slices.Reverse(list)
	return list, l.seen
}
