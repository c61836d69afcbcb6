package protocol

import "math"

// metaIntBytesMax and metaUintBytesMax are how many signs and digits the numbers of
// meta commands have at most, leading zeros included.
const (
	metaIntBytesMax  = 11
	metaUintBytesMax = 22
)

// parseUint reads an unsigned decimal of at most limit.
func parseUint(b []byte, limit uint64) (n uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// parseInt reads a decimal that may be negative.
func parseInt(b []byte) (n int64, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		u, ok := parseUint(b[1:], math.MaxInt64)
		return -int64(u), ok
	}
	u, ok := parseUint(b, math.MaxInt64)
	return int64(u), ok
}

// parseExptime reads the exptime of touch, gat and flush_all. Unlike that of storage
// commands it must fit 32 bits.
func parseExptime(b []byte) (n int64, ok bool) {
	n, ok = parseInt(b)
	return n, ok && n == int64(int32(n))
}

// parseStoreExptime reads the exptime of storage commands. memcached accepts it with a
// plus sign and in 64 bits, and uses 32 of them.
func parseStoreExptime(b []byte) (n int64, ok bool) {
	if rest, plus := cutPlus(b); plus {
		u, ok := parseUint(rest, math.MaxInt64)
		return int64(u), ok
	}
	return parseInt(b)
}

// parseFlags reads client flags. Like memcached it accepts 64 bits and keeps 32.
func parseFlags(b []byte) (flags uint32, ok bool) {
	rest, _ := cutPlus(b)
	n, ok := parseUint(rest, math.MaxUint64)
	return uint32(n), ok
}

func cutPlus(b []byte) (rest []byte, found bool) {
	if len(b) > 0 && b[0] == '+' {
		return b[1:], true
	}
	return b, false
}

// parseMetaInt reads a signed number of a meta command, of 32 bits. A sign alone
// is 0, as in memcached.
func parseMetaInt(b []byte) (n int64, ok bool) {
	if string(b) == "-" {
		return 0, true
	}
	n, ok = parseExptime(b)
	return n, ok && len(b) <= metaIntBytesMax
}

// parseMetaUint reads an unsigned number of a meta command, of at most limit.
func parseMetaUint(b []byte, limit uint64) (n uint64, ok bool) {
	if limit <= math.MaxUint32 && len(b) > metaIntBytesMax || len(b) > metaUintBytesMax {
		return 0, false
	}
	return parseUint(b, limit)
}
