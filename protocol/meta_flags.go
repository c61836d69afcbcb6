package protocol

import (
	"math"

	"raftcached/internal/item"
)

const (
	// metaWordsMax is the largest number of words in the line of a meta command
	// (memcached's MFLAG_MAX_OPT_LENGTH).
	metaWordsMax = 20

	// metaWordsSeen is the number of words into which memcached splits the line of a
	// meta command; it does not examine what follows them.
	metaWordsSeen = 23

	// opaqueBytesMax is the longest opaque, with its flag O
	// (memcached's MFLAG_MAX_OPAQUE_LENGTH).
	opaqueBytesMax = 32
)

// The lines that refuse a meta command.
const (
	replyBadFlag      = "CLIENT_ERROR invalid flag\r\n"
	replyTwiceFlag    = "CLIENT_ERROR duplicate flag\r\n"
	replyManyFlags    = "CLIENT_ERROR options flags are too long\r\n"
	replyBadToken     = "CLIENT_ERROR bad token in command line format\r\n"
	replyBadKey       = "CLIENT_ERROR error decoding key\r\n"
	replyLongOpaque   = "CLIENT_ERROR opaque token too long\r\n"
	replyBadSetMode   = "CLIENT_ERROR invalid mode for ms M token\r\n"
	replyBadCountMode = "CLIENT_ERROR invalid mode for ma M token\r\n"
	replyBadInitial   = "CLIENT_ERROR invalid numeric initial value\r\n"
	replyBadMetaDelta = "CLIENT_ERROR invalid numeric delta value\r\n"
	replyBadMetaFlag  = "CLIENT_ERROR invalid or duplicate flag\r\n"
)

// metaFlags are the values of the flags of a meta command. Every command accepts all
// flags, and ignores those without a meaning for it.
type metaFlags struct {
	key     []byte // decoded if base64
	decoded []byte // buffer for the decoded key

	fields                   item.Fields
	quiet, base64, value     bool   // q b v
	returnKey, opaqueTooLong bool   // k O
	mode                     byte   // M; 0 if there is none
	clientFlags              uint32 // F
	cas, newCAS              uint64 // C E
	initial, delta           uint64 // J D
	exptime, vivify, recache int64  // T N R

	seen    [2]uint64 // by ASCII code
	failed  bool
	refusal string // the line of the last invalid token, if there is one
}

// metaWords counts the words of a line; b follows the given number of words, of which
// the key is the last. It also reports whether the words of b begin like flags:
// otherwise memcached does not even split the line.
func metaWords(b []byte, words int) (count int, ok bool) {
	for word, rest := nextWord(b); word != nil; word, rest = nextWord(rest) {
		if c := word[0]; words < metaWordsSeen && (c < 'A' || c > 'z') && (c < '0' || c > '9') {
			return 0, false
		}
		words++
	}
	return words, true
}

// parse reads the flags of b. It returns the line that refuses them, or "".
func (f *metaFlags) parse(b []byte) string {
	f.refusal = replyBadFormat
	for word, rest := nextWord(b); word != nil; word, rest = nextWord(rest) {
		flag := word[0]
		if f.has(flag) {
			return replyTwiceFlag
		}
		if !f.parseFlag(flag, word[1:]) {
			return replyBadFlag
		}
		f.seen[flag/64] |= 1 << (flag % 64)
	}
	if f.failed {
		return f.refusal
	}
	return ""
}

// has reports whether the line has a flag, which is ASCII.
func (f *metaFlags) has(flag byte) bool { return f.seen[flag/64]>>(flag%64)&1 != 0 }

// parseFlag reads one flag. It reports false if there is no such flag.
func (f *metaFlags) parseFlag(flag byte, token []byte) bool {
	switch flag {
	case 's', 't', 'c', 'f', 'l', 'h': // the answer uses Form.Flags
	case 'P', 'L': // for proxies
	case 'k':
		f.returnKey = true
	case 'v':
		f.value = true
	case 'q':
		f.quiet = true
	case 'b':
		f.base64 = true
		key, ok := decodeKey(f.decoded, f.key)
		if !ok {
			f.refuse(replyBadKey)
		}
		f.key = key
	case 'u':
		f.fields |= item.KeepAccess
	case 'x':
		f.fields |= item.RemoveValue
	case 'I':
		f.fields |= item.Invalidate
	case 'O':
		f.opaqueTooLong = 1+len(token) > opaqueBytesMax
	case 'M':
		f.mode = ' ' // no mode
		if len(token) > 0 {
			f.mode = token[0]
		}
	case 'T', 'N', 'R':
		f.parseTime(flag, token)
	case 'F', 'C', 'E', 'J', 'D':
		f.parseNumber(flag, token)
	default:
		return false
	}
	return true
}

// refuse records an invalid token; the flags after it may be worse.
func (f *metaFlags) refuse(reply string) { f.failed, f.refusal = true, reply }

// parseTime reads a flag with an exptime. memcached executes flags one after the
// other, so the position of T matters.
func (f *metaFlags) parseTime(flag byte, token []byte) {
	n, ok := parseMetaInt(token)
	if !ok {
		f.refuse(replyBadToken)
		return
	}
	switch touched := f.has('T'); flag {
	case 'T':
		f.exptime = n
		f.fields |= item.HasExptime
		if f.has('t') {
			f.fields |= item.TTLBefore
		}
	case 'N':
		f.vivify = n
		f.fields |= item.HasVivify
		if touched {
			f.fields |= item.TouchBeforeVivify
		} else if f.has('t') {
			f.fields |= item.TTLBefore
		}
	case 'R':
		f.recache = n
		f.fields |= item.HasRecache
		if touched {
			f.fields |= item.TouchBeforeRecache
		}
	}
}

// parseNumber reads a flag with an unsigned number.
func (f *metaFlags) parseNumber(flag byte, token []byte) {
	limit, refusal := uint64(math.MaxUint64), replyBadToken
	switch flag {
	case 'F':
		limit, refusal = math.MaxUint32, f.refusal // it has no error line of its own
	case 'J':
		refusal = replyBadInitial
	case 'D':
		refusal = replyBadMetaDelta
	}
	n, ok := parseMetaUint(token, limit)
	if !ok {
		f.refuse(refusal)
		return
	}
	switch flag {
	case 'F':
		f.clientFlags = uint32(n)
	case 'C':
		f.fields |= item.HasCAS
		f.cas = n
	case 'E':
		f.fields |= item.HasNewCAS
		f.newCAS = n
	case 'J':
		f.initial = n
	case 'D':
		f.delta = n
	}
}
