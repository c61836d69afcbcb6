package server

import (
	"math/bits"
	"sync/atomic"

	"raftcached/protocol"
)

// counter names one of the counts that each event loop keeps.
type counter uint8

// The counters, in the order of memcached's stats.
const (
	cmdGet counter = iota
	cmdSet
	cmdFlush
	cmdTouch
	cmdMeta
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
	storeTooLarge
	storeNoMemory
	authCmds
	authErrors
	bytesRead
	bytesWritten
	counterCount
)

// name returns the counter's name in the output of stats.
func (k counter) name() string {
	return [counterCount]string{
		cmdGet: "cmd_get", cmdSet: "cmd_set", cmdFlush: "cmd_flush", cmdTouch: "cmd_touch", cmdMeta: "cmd_meta",
		getHits: "get_hits", getMisses: "get_misses",
		deleteMisses: "delete_misses", deleteHits: "delete_hits",
		incrMisses: "incr_misses", incrHits: "incr_hits",
		decrMisses: "decr_misses", decrHits: "decr_hits",
		casMisses: "cas_misses", casHits: "cas_hits", casBadval: "cas_badval",
		touchHits: "touch_hits", touchMisses: "touch_misses",
		storeTooLarge: "store_too_large", storeNoMemory: "store_no_memory",
		authCmds: "auth_cmds", authErrors: "auth_errors",
		bytesRead: "bytes_read", bytesWritten: "bytes_written",
	}[k]
}

// counters counts on the loop's goroutine with plain additions and publishes
// what changed once a turn, because an atomic addition for each key of a
// pipeline costs more than finding the key.
type counters struct {
	local     [counterCount]uint64
	changed   uint32 // bit k is set if local[k] is ahead of published[k]
	_         [64]byte
	published [counterCount]atomic.Uint64 // read by any goroutine
	_         [64]byte
}

// add counts n more of k. Only the loop's goroutine may call it.
func (s *counters) add(k counter, n int) {
	s.local[k] += uint64(n)
	s.changed |= 1 << k
}

// publish makes the counts readable by other goroutines. Only the loop's
// goroutine may call it.
func (s *counters) publish() {
	for s.changed != 0 {
		k := bits.TrailingZeros32(s.changed)
		s.published[k].Store(s.local[k])
		s.changed &= s.changed - 1
	}
}

// addWrite counts the outcome of one write as memcached's process_*_command and
// process_bin_* functions do. Outcomes that mean "not executed" count nowhere.
func (s *counters) addWrite(cmd protocol.Command, codec protocol.Codec, fields protocol.Fields, r *protocol.Result) {
	status := r.Status
	switch status {
	case protocol.StatusTooLarge:
		s.add(storeTooLarge, 1)
		return
	case protocol.StatusOutOfMemory:
		s.add(storeNoMemory, 1)
		return
	case protocol.StatusNoLeader, protocol.StatusOutcomeUnknown, protocol.StatusTimeout,
		protocol.StatusRepairing, protocol.StatusNoMajority, protocol.StatusNonNumeric:
		return
	}
	found := status != protocol.StatusNotFound && status != protocol.StatusMiss
	switch cmd {
	case protocol.Set, protocol.Replace, protocol.CAS:
		s.add(cmdSet, 1)
		if cmd == protocol.CAS || fields&protocol.HasCAS != 0 {
			s.addCAS(status)
		}
	case protocol.Add, protocol.Append, protocol.Prepend:
		s.add(cmdSet, 1)
	case protocol.MetaGet, protocol.MetaGat:
		s.addMetaGet(cmd, codec, found)
	case protocol.Gat, protocol.Gats, protocol.Touch:
		s.add(cmdTouch, 1)
		s.addFound(found, touchHits, touchMisses)
	case protocol.Delete:
		s.addDelete(codec, fields, status)
	case protocol.Incr:
		s.addDelta(r, incrHits, incrMisses)
	case protocol.Decr:
		s.addDelta(r, decrHits, decrMisses)
	case protocol.FlushAll:
		s.add(cmdFlush, 1)
	}
}

// addMetaGet counts a read that went through the log. One of Meta that touches is
// counted as touching only if it found something.
func (s *counters) addMetaGet(cmd protocol.Command, codec protocol.Codec, found bool) {
	if cmd == protocol.MetaGat && (found || codec == protocol.Binary) {
		s.add(cmdTouch, 1)
		s.addFound(found, touchHits, touchMisses)
		return
	}
	s.add(cmdGet, 1)
	s.addFound(found, getHits, getMisses)
}

// addDelete counts the outcome of a delete. To find another cas unique is a miss
// for Meta and nothing for Binary, and to mark an item is not to delete it.
func (s *counters) addDelete(codec protocol.Codec, fields protocol.Fields, status protocol.Status) {
	switch status {
	case protocol.StatusNotFound:
		s.add(deleteMisses, 1)
	case protocol.StatusExists:
		if codec == protocol.Meta {
			s.add(deleteMisses, 1)
		}
	default:
		if fields&protocol.Invalidate == 0 {
			s.add(deleteHits, 1)
		}
	}
}

// addDelta counts the outcome of incr and decr. Creating the counter, or meeting
// another cas unique, is neither a hit nor a miss.
func (s *counters) addDelta(r *protocol.Result, hit, miss counter) {
	switch {
	case r.Status == protocol.StatusNumber && r.Marks&protocol.Won == 0:
		s.add(hit, 1)
	case r.Status == protocol.StatusNotFound:
		s.add(miss, 1)
	}
}

// addCAS counts the outcome of a cas.
func (s *counters) addCAS(status protocol.Status) {
	switch status {
	case protocol.StatusStored:
		s.add(casHits, 1)
	case protocol.StatusExists:
		s.add(casBadval, 1)
	case protocol.StatusNotFound:
		s.add(casMisses, 1)
	}
}

// addFound counts a hit or a miss.
func (s *counters) addFound(found bool, hit, miss counter) {
	if found {
		s.add(hit, 1)
	} else {
		s.add(miss, 1)
	}
}
