package measure

import (
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
	ring []slowKept // its length is zero until there is one
	kept uint64     // how many were put there
	seen uint64
}

// slowKept is a slow command with its key in place, so that keeping one allocates nothing.
type slowKept struct {
	Slow // without its key
	key  [KeyBytesMax]byte
	size uint8 // of the key
}

// Add keeps a command, with a copy of its key; s has none.
func (l *SlowLog) Add(s *Slow, key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ring == nil {
		l.ring = make([]slowKept, SlowMax)
	}
	e := &l.ring[l.kept%SlowMax]
	e.Slow = *s
	e.size = uint8(copy(e.key[:], key))
	l.kept++
	l.seen++
}

// Skip counts n commands of which none would be kept: SlowMax others follow.
func (l *SlowLog) Skip(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen += n
}

// List returns what is kept, the newest first, and how many there have been.
func (l *SlowLog) List() (list []Slow, seen uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(l.kept, SlowMax) {
		e := &l.ring[(l.kept-1-i)%SlowMax]
		s := e.Slow
		s.Key = string(e.key[:e.size])
		list = append(list, s)
	}
	return list, l.seen
}
