package protocol

import (
	"strconv"

	"raftcached/internal/item"
)

const (
	replyNoop = "MN\r\n"
	replyMiss = "EN\r\n"
)

// appendMetaReply appends the answer to a meta command:
//
//	HD [flags]\r\n                       done
//	VA SIZE [flags]\r\n VALUE \r\n       done, and this is the value
//	EN | NF | NS | EX [flags]\r\n        not found, not found, not stored, exists
//	MN\r\n                               of mn
//	ME KEY NAME=VALUE...\r\n             of me
//
// or a line of replyLines, which is never omitted. Flags that request something are
// answered in their order.
func appendMetaReply(dst []byte, c Command, f *Form, r *Result) []byte {
	code := metaCode(c, r.Status)
	switch {
	case c == Noop:
		return append(dst, replyNoop...)
	case code == "":
		return AppendReply(dst, c, r)
	case c == MetaDebug && code == "HD":
		return appendMetaDebug(dst, f, r)
	case c == MetaDebug:
		return append(dst, replyMiss...)
	case f.Quiet && (code == "EN" || code == "HD" && c != MetaGet && c != MetaGat):
		return dst
	}
	var digits [20]byte // of the largest uint64
	value, withValue := metaValue(digits[:0], c, f, r)
	if code == "HD" && withValue {
		dst = strconv.AppendUint(append(dst, "VA "...), uint64(len(value)), 10)
	} else {
		dst = append(dst, code...)
		withValue = false
	}
	dst = appendMetaFlags(dst, c, f, r, code == "HD")
	dst = append(dst, "\r\n"...)
	if withValue {
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// metaCode returns the code of a status, HD also for an answer that is VA if it has a
// value. It is empty if the status is an error with a line of its own.
func metaCode(c Command, s Status) string {
	switch s {
	case StatusStored, StatusDeleted, StatusTouched, StatusOK, StatusNumber, StatusHit:
		return "HD"
	case StatusMiss:
		return "EN"
	case StatusNotFound:
		if c == MetaGet || c == MetaGat || c == MetaDebug {
			return "EN"
		}
		return "NF"
	case StatusNotStored:
		return "NS"
	case StatusExists:
		return "EX"
	}
	return ""
}

// metaValue returns the value for the answer to mg or ma if flag v requests it.
// buffer is room for a number.
func metaValue(buffer []byte, c Command, f *Form, r *Result) (value []byte, ok bool) {
	switch {
	case !f.Value:
		return nil, false
	case c == Incr || c == Decr:
		return strconv.AppendUint(buffer, r.Number, 10), true
	case c == MetaGet || c == MetaGat:
		return r.Value, !f.HasMatch || f.MatchCAS != r.CAS
	}
	return nil, false
}

// appendMetaFlags appends what the flags of the request ask for, and for mg the marks
// of the item. done means that the command had its effect.
func appendMetaFlags(dst []byte, c Command, f *Form, r *Result, done bool) []byte {
	for word, rest := nextWord(f.Flags); word != nil; word, rest = nextWord(rest) {
		switch word[0] {
		case 'O':
			dst = append(append(dst, ' '), word...)
		case 'k':
			dst = f.appendKey(append(dst, " k"...), f.Key)
			if f.Base64 {
				dst = append(dst, " b"...)
			}
		default:
			dst = appendMetaFlag(dst, c, word[0], f, r, done)
		}
	}
	if !done || c != MetaGet && c != MetaGat {
		return dst
	}
	if r.Marks&item.AlreadyWon != 0 && r.Marks&item.Won == 0 {
		dst = append(dst, " Z"...)
	}
	if r.Marks&item.Stale != 0 {
		dst = append(dst, " X"...)
	}
	if r.Marks&item.Won != 0 {
		dst = append(dst, " W"...)
	}
	return dst
}

// appendMetaFlag appends what one flag requests, if the command provides it.
func appendMetaFlag(dst []byte, c Command, flag byte, f *Form, r *Result, done bool) []byte {
	switch c {
	case Set, Add, Replace, Append, Prepend:
		switch {
		case flag == 'c' && done:
			return appendMetaUint(dst, flag, r.CAS)
		case flag == 'c':
			return appendMetaUint(dst, flag, 0)
		case flag == 's' && done:
			return appendMetaUint(dst, flag, uint64(r.SizeBytes))
		case flag == 's':
			return appendMetaUint(dst, flag, uint64(f.SizeBytes))
		}
	case Incr, Decr:
		if done && (flag == 'c' || flag == 't') {
			return appendItemFlag(dst, flag, r)
		}
	case MetaGet, MetaGat:
		if done {
			return appendItemFlag(dst, flag, r)
		}
	}
	return dst
}

// appendItemFlag appends what a flag says about an item.
func appendItemFlag(dst []byte, flag byte, r *Result) []byte {
	switch flag {
	case 'c':
		return appendMetaUint(dst, flag, r.CAS)
	case 'f':
		return appendMetaUint(dst, flag, uint64(r.Flags))
	case 'h':
		before := uint64(0)
		if r.Marks&item.HitBefore != 0 {
			before = 1
		}
		return appendMetaUint(dst, flag, before)
	case 'l':
		return strconv.AppendInt(append(dst, ' ', flag), r.IdleSeconds, 10)
	case 's':
		return appendMetaUint(dst, flag, uint64(r.SizeBytes))
	case 't':
		return strconv.AppendInt(append(dst, ' ', flag), r.TTLSeconds, 10)
	}
	return dst
}

func appendMetaUint(dst []byte, flag byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, ' ', flag), n, 10)
}

// appendMetaDebug appends the answer to me. The class is 0 because there are no slabs;
// the size is what memcached counts for such an item.
func appendMetaDebug(dst []byte, f *Form, r *Result) []byte {
	dst = f.appendKey(append(dst, "ME "...), f.Key)
	dst = strconv.AppendInt(append(dst, " exp="...), r.TTLSeconds, 10)
	dst = strconv.AppendInt(append(dst, " la="...), r.IdleSeconds, 10)
	dst = strconv.AppendUint(append(dst, " cas="...), r.CAS, 10)
	fetched := "no"
	if r.Marks&item.HitBefore != 0 {
		fetched = "yes"
	}
	dst = append(append(dst, " fetch="...), fetched...)
	size := item.SizeBytes(len(f.Key), r.Flags, r.SizeBytes)
	dst = strconv.AppendInt(append(dst, " cls=0 size="...), int64(size), 10)
	return append(dst, "\r\n"...)
}
