//go:build linux

package footprint

import (
	"fmt"
	"math/rand/v2"
)

const (
	// keySpace is the size of all items of a load, as a multiple of the cache.
	keySpace = 4

	// ttlSecondsMax is the longest life that a load gives an item.
	ttlSecondsMax = 10

	// bigValueMin and bigValueMax bound the large values among small ones. With its
	// key such an item is below 1 MiB, the size of the largest item.
	bigValueMin = 100 << 10
	bigValueMax = 1<<20 - 1<<10
)

// Load generates requests that are hard on memory. They depend only on the seed and
// on the memory limit.
type Load struct {
	Name string

	// appendRequest appends one request with a one-line answer. progress is 0 to 1,
	// and 0 until the cache is full.
	appendRequest func(dst []byte, r *requester, progress float64) []byte
}

// Loads are the loads of the table, in its order.
func Loads() []Load {
	return []Load{
		{"overwrites: 10 to 4000 bytes, 20 % deletes, 10 % touches and sets for 1 to 10 s", appendOverwrite},
		{"switch: 100 bytes, 10 KiB, 100 bytes", appendSwitch},
		{"small: 8 bytes", appendSmall},
		{"big: 2 % of 100 KiB to 1 MiB, the others 100 to 1000 bytes", appendBig},
	}
}

// requester generates the requests of one connection.
type requester struct {
	random     *rand.Rand
	limitBytes int64
	values     []byte // every value is a part of it
}

func newRequester(seed, connection uint64, limitBytes int64) *requester {
	r := &requester{
		random: rand.New(rand.NewPCG(seed, connection)), limitBytes: limitBytes,
		values: make([]byte, bigValueMax),
	}
	for i := range r.values {
		r.values[i] = 'a' + byte(i%26)
	}
	return r
}

// key returns a random key. There are so many keys that their items, with values of
// the given mean length, would fill the cache keySpace times. Kinds have different keys.
func (r *requester) key(kind string, meanBytes int) string {
	const keyBytes = 16
	return fmt.Sprintf("%s%015d", kind, r.random.Int64N(max(1, keySpace*r.limitBytes/int64(meanBytes+keyBytes))))
}

// between returns a length from lowest to highest.
func (r *requester) between(lowest, highest int) int { return lowest + r.random.IntN(highest-lowest+1) }

func (r *requester) appendSet(dst []byte, key string, ttlSeconds, valueBytes int) []byte {
	dst = fmt.Appendf(dst, "set %s 0 %d %d\r\n", key, ttlSeconds, valueBytes)
	return append(append(dst, r.values[:valueBytes]...), "\r\n"...)
}

func appendOverwrite(dst []byte, r *requester, _ float64) []byte {
	const lowest, highest = 10, 4000
	key, valueBytes := r.key("o", (lowest+highest)/2), r.between(lowest, highest)
	switch percent := r.random.IntN(100); {
	case percent < 20:
		return fmt.Appendf(dst, "delete %s\r\n", key)
	case percent < 25:
		return fmt.Appendf(dst, "touch %s %d\r\n", key, r.between(1, ttlSecondsMax))
	case percent < 30:
		return r.appendSet(dst, key, r.between(1, ttlSecondsMax), valueBytes)
	default:
		return r.appendSet(dst, key, 0, valueBytes)
	}
}

func appendSwitch(dst []byte, r *requester, progress float64) []byte {
	const small, large = 100, 10 << 10
	if progress > 1.0/3 && progress < 2.0/3 {
		return r.appendSet(dst, r.key("l", large), 0, large)
	}
	return r.appendSet(dst, r.key("s", small), 0, small)
}

func appendSmall(dst []byte, r *requester, _ float64) []byte {
	const valueBytes = 8
	return r.appendSet(dst, r.key("t", valueBytes), 0, valueBytes)
}

func appendBig(dst []byte, r *requester, _ float64) []byte {
	const lowest, highest = 100, 1000
	if r.random.IntN(100) < 2 {
		return r.appendSet(dst, r.key("b", (bigValueMin+bigValueMax)/2), 0, r.between(bigValueMin, bigValueMax))
	}
	return r.appendSet(dst, r.key("c", (lowest+highest)/2), 0, r.between(lowest, highest))
}
