package stats

import (
	"raftcached/protocol"

	"raftcached/internal/item"
)

// AddWrite counts the outcome of one write as memcached's process_*_command and
// process_bin_* functions do. A request that was not executed is not counted. Only
// the loop's goroutine may call it.
func (s *Counters) AddWrite(cmd protocol.Command, codec protocol.Codec, fields item.Fields, r *protocol.Result) {
	status := r.Status
	switch status {
	case protocol.StatusTooLarge:
		s.Add(StoreTooLarge, 1)
		return
	case protocol.StatusOutOfMemory:
		s.Add(storeNoMemory, 1)
		return
	case protocol.StatusNoLeader, protocol.StatusOutcomeUnknown, protocol.StatusTimeout,
		protocol.StatusRepairing, protocol.StatusNoMajority, protocol.StatusRemoved, protocol.StatusFilling, protocol.StatusMalformed,
		protocol.StatusDiskStalled, protocol.StatusBusy, protocol.StatusNonNumeric:
		return
	}
	found := status != protocol.StatusNotFound && status != protocol.StatusMiss
	switch cmd {
	case protocol.Set, protocol.Replace, protocol.CAS:
		s.Add(cmdSet, 1)
		if cmd == protocol.CAS || fields&item.HasCAS != 0 {
			s.addCAS(status)
		}
	case protocol.Add, protocol.Append, protocol.Prepend:
		s.Add(cmdSet, 1)
	case protocol.MetaGet, protocol.MetaGat:
		s.addMetaGet(cmd, codec, found)
	case protocol.Gat, protocol.Gats, protocol.Touch:
		s.Add(cmdTouch, 1)
		s.addFound(found, touchHits, touchMisses)
	case protocol.Delete:
		s.addDelete(codec, fields, status)
	case protocol.Incr:
		s.addDelta(r, incrHits, incrMisses)
	case protocol.Decr:
		s.addDelta(r, decrHits, decrMisses)
	case protocol.FlushAll:
		s.Add(cmdFlush, 1)
	}
}

// addMetaGet counts a read that went through the log. Meta's get that touches
// counts as a touch only if it found something.
func (s *Counters) addMetaGet(cmd protocol.Command, codec protocol.Codec, found bool) {
	if cmd == protocol.MetaGat && (found || codec == protocol.Binary) {
		s.Add(cmdTouch, 1)
		s.addFound(found, touchHits, touchMisses)
		return
	}
	s.Add(cmdGet, 1)
	s.addFound(found, getHits, getMisses)
}

// addDelete counts the outcome of a delete. A cas unique that does not match is a
// miss in Meta and not counted in Binary. Marking an item stale is no delete.
func (s *Counters) addDelete(codec protocol.Codec, fields item.Fields, status protocol.Status) {
	switch status {
	case protocol.StatusNotFound:
		s.Add(deleteMisses, 1)
	case protocol.StatusExists:
		if codec == protocol.Meta {
			s.Add(deleteMisses, 1)
		}
	default:
		if fields&item.Invalidate == 0 {
			s.Add(deleteHits, 1)
		}
	}
}

// addDelta counts the outcome of incr and decr. If the item was created, or its
// cas unique did not match, that is neither a hit nor a miss.
func (s *Counters) addDelta(r *protocol.Result, hit, miss Counter) {
	switch {
	case r.Status == protocol.StatusNumber && r.Marks&item.Won == 0:
		s.Add(hit, 1)
	case r.Status == protocol.StatusNotFound:
		s.Add(miss, 1)
	}
}

// addCAS counts the outcome of a cas.
func (s *Counters) addCAS(status protocol.Status) {
	switch status {
	case protocol.StatusStored:
		s.Add(casHits, 1)
	case protocol.StatusExists:
		s.Add(casBadval, 1)
	case protocol.StatusNotFound:
		s.Add(casMisses, 1)
	}
}

// addFound counts a hit or a miss.
func (s *Counters) addFound(found bool, hit, miss Counter) {
	if found {
		s.Add(hit, 1)
	} else {
		s.Add(miss, 1)
	}
}
