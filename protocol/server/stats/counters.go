package stats

import (
	"math/bits"
	"sync/atomic"
)

// Counter names one of the counts that each event loop keeps.
type Counter uint8

// The counters, in the order of memcached's stats. Those of requests that go
// through the log are counted by AddWrite, those of reads by AddGets.
const (
	cmdGet Counter = iota
	cmdSet
	cmdFlush
	cmdTouch
	CmdMeta
	getHits
	getMisses
	deleteMisses
	deleteHits
	incrMisses
	incrHits
	decrMisses
	decrHits
	casMisses
	casHits
	casBadval
	touchHits
	touchMisses
	StoreTooLarge
	storeNoMemory
	AuthCmds
	AuthErrors
	BytesRead
	BytesWritten
	readsLeased
	readsWaited
	readsConfirmed
	readsBehind
	counterCount
)

// name returns the counter's name in the output of stats.
func (k Counter) name() string {
	return [counterCount]string{
		cmdGet: "cmd_get", cmdSet: "cmd_set", cmdFlush: "cmd_flush", cmdTouch: "cmd_touch", CmdMeta: "cmd_meta",
		getHits: "get_hits", getMisses: "get_misses",
		deleteMisses: "delete_misses", deleteHits: "delete_hits",
		incrMisses: "incr_misses", incrHits: "incr_hits",
		decrMisses: "decr_misses", decrHits: "decr_hits",
		casMisses: "cas_misses", casHits: "cas_hits", casBadval: "cas_badval",
		touchHits: "touch_hits", touchMisses: "touch_misses",
		StoreTooLarge: "store_too_large", storeNoMemory: "store_no_memory",
		AuthCmds: "auth_cmds", AuthErrors: "auth_errors",
		BytesRead: "bytes_read", BytesWritten: "bytes_written",
		readsLeased: "reads_leased", readsWaited: "reads_waited", readsConfirmed: "reads_confirmed",
		readsBehind: "reads_behind_writes",
	}[k]
}

// Counters counts on the loop's goroutine with plain additions and publishes
// what changed before answers are sent, because an atomic addition for each key
// of a pipeline costs more than finding the key.
type Counters struct {
	local     [counterCount]uint64
	changed   uint32 // bit k is set if local[k] is ahead of published[k]
	_         [64]byte
	published [counterCount]atomic.Uint64 // read by any goroutine
	_         [64]byte
}

// Add counts n more of k. Only the loop's goroutine may call it.
func (s *Counters) Add(k Counter, n int) {
	s.local[k] += uint64(n)
	s.changed |= 1 << k
}

// Way is how a server knows that what it reads is not outdated.
type Way uint8

// The ways.
const (
	WayLocal     Way = iota // there is nobody to ask, or nobody is to be asked
	WayLeased               // by a lease
	WayWaited               // by a lease, after a change of the item was applied
	WayConfirmed            // by the answer of a majority
	WayBehind               // by writes of its connection, behind which it was done
)

// AddGets counts keys that were looked up in some way, and how many were found. Only
// the loop's goroutine may call it.
func (s *Counters) AddGets(w Way, keys, hits int) {
	if keys == 0 {
		return
	}
	if w != WayLocal {
		s.Add([...]Counter{WayLeased: readsLeased, WayWaited: readsWaited, WayConfirmed: readsConfirmed, WayBehind: readsBehind}[w], keys)
	}
	s.Add(cmdGet, keys)
	s.Add(getHits, hits)
	s.Add(getMisses, keys-hits)
}

// Publish makes the counts readable by other goroutines. Only the loop's
// goroutine may call it.
func (s *Counters) Publish() {
	for s.changed != 0 {
		k := bits.TrailingZeros32(s.changed)
		s.published[k].Store(s.local[k])
		s.changed &= s.changed - 1
	}
}
