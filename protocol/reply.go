package protocol

import "strconv"

// ReplyEnd ends the answer to get, gets, gat and gats, and most of those to stats.
const ReplyEnd = "END\r\n"

// replyOutOfMemory answers commands that store no value instead of the line of
// StatusOutOfMemory, which mentions storing.
const replyOutOfMemory = "SERVER_ERROR out of memory\r\n"

// replyLines holds the line of each status but StatusNumber and StatusHit,
// which are more than a line.
var replyLines = [...]string{
	StatusNone:           "",
	StatusStored:         "STORED\r\n",
	StatusNotStored:      "NOT_STORED\r\n",
	StatusExists:         "EXISTS\r\n",
	StatusNotFound:       "NOT_FOUND\r\n",
	StatusDeleted:        "DELETED\r\n",
	StatusTouched:        "TOUCHED\r\n",
	StatusOK:             "OK\r\n",
	StatusNumber:         "",
	StatusHit:            "",
	StatusMiss:           "",
	StatusNonNumeric:     "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
	StatusTooLarge:       "SERVER_ERROR object too large for cache\r\n",
	StatusOutOfMemory:    "SERVER_ERROR out of memory storing object\r\n",
	StatusTooSmall:       "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n",
	StatusOutOfBounds:    "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n",
	StatusFilling:        "SERVER_ERROR a backup is being restored\r\n",
	StatusMalformed:      "SERVER_ERROR malformed operation\r\n",
	StatusNoLeader:       "SERVER_ERROR no leader\r\n",
	StatusOutcomeUnknown: "SERVER_ERROR outcome unknown\r\n",
	StatusTimeout:        "SERVER_ERROR read not confirmed in time\r\n",
	StatusRepairing:      "SERVER_ERROR state differs from the other servers, repairing\r\n",
	StatusNoMajority:     "SERVER_ERROR states of the servers differ without a majority, writes are refused\r\n",
	StatusRemoved:        "SERVER_ERROR this server is no member of the cluster any more\r\n",
	StatusDiskStalled:    "SERVER_ERROR this server's disk does not answer, writes are refused\r\n",
	StatusBusy:           "SERVER_ERROR too many writes wait, try again later\r\n",

	StatusUnknownCommand: replyError,
	StatusInvalid:        replyBadFormat,
	StatusAuthFailure:    "CLIENT_ERROR authentication failure\r\n",
}

// AppendReply appends the answer to a command with the given result: a line, or the
// VALUE block for a hit of gat and gats.
func AppendReply(dst []byte, c Command, r *Result) []byte {
	switch r.Status {
	case StatusNumber:
		dst = strconv.AppendUint(dst, r.Number, 10)
		return append(dst, "\r\n"...)
	case StatusHit:
		return AppendValue(dst, r.Key, r.Flags, r.CAS, c == Gats || c == Gets, r.Value)
	case StatusOutOfMemory:
		switch c {
		case Incr, Decr, Delete, Touch, Get, Gets, Gat, Gats, FlushAll, CacheMemlimit:
			return append(dst, replyOutOfMemory...)
		}
	}
	return append(dst, replyLines[r.Status]...)
}

// AppendValue appends the VALUE block of a hit, with the cas unique if withCAS is
// set (protocol.txt, "Retrieval command").
func AppendValue(dst, key []byte, flags uint32, cas uint64, withCAS bool, value []byte) []byte {
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(flags), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(len(value)), 10)
	if withCAS {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, cas, 10)
	}
	dst = append(dst, "\r\n"...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
