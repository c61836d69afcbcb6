package hitratio

import (
	"bytes"
	"fmt"
	"slices"
)

const (
	// KeyBytes is the length of every key.
	KeyBytes = 32

	// ItemOverheadBytes is what memcached needs for an item in addition to its key
	// and value: a header of 48 bytes, 8 for the cas unique, a zero byte after the
	// key, and the line end after the value (memcached's memcached.h, "struct
	// _stritem", and items.c, item_make_header). The ideal caches charge the same.
	// It does not include the rounding of memcached's slab classes, and its index.
	ItemOverheadBytes = 48 + 8 + 1 + 2

	// The range of the lengths of Mixed, which are uniformly distributed.
	mixedBytesMin, mixedBytesMax = 50, 1000
)

// Items determines the bytes of keys and values.
type Items struct {
	// ValueBytes is the length of every value, or Mixed.
	ValueBytes int
}

// Mixed is a ValueBytes: values of 50 to 1000 bytes, by a hash of the key.
const Mixed = -1

// Check reports items that cannot be stored.
func (s Items) Check() error {
	if s.ValueBytes != Mixed && (s.ValueBytes < 1 || s.ValueBytes > valueBytesMax) {
		return fmt.Errorf("check items: values of %d bytes, want 1 to %d", s.ValueBytes, valueBytesMax)
	}
	return nil
}

// valueBytesMax keeps a batch of sets below what a connection buffers.
const valueBytesMax = 4096

// appendKey appends the key's bytes: 32 hexadecimal digits. The first 16 are already
// unique.
func (s Items) appendKey(dst []byte, id uint32) []byte {
	first := scatter(uint64(id))
	dst = appendHex(slices.Grow(dst, KeyBytes), first)
	return appendHex(dst, scatter(first))
}

func appendHex(dst []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

// value returns the key's value. All values are prefixes of one text, which must not
// be changed.
func (s Items) value(id uint32) []byte { return longestValue[:s.valueBytes(id)] }

var longestValue = bytes.Repeat([]byte("abcdefghijklmnop"), valueBytesMax/16)

func (s Items) valueBytes(id uint32) int {
	if s.ValueBytes != Mixed {
		return s.ValueBytes
	}
	return mixedBytesMin + int(scatter(uint64(id)+1<<32)%(mixedBytesMax-mixedBytesMin+1))
}

// itemBytes returns the charge of a key's item.
func (s Items) itemBytes(id uint32) int64 {
	return int64(ItemOverheadBytes + KeyBytes + s.valueBytes(id))
}

// MeanBytes returns the mean charge of an item.
func (s Items) MeanBytes() int64 {
	value := s.ValueBytes
	if value == Mixed {
		value = (mixedBytesMin + mixedBytesMax) / 2
	}
	return int64(ItemOverheadBytes + KeyBytes + value)
}

// scatter is the output function of splitmix64 (Steele et al., "Fast splittable
// pseudorandom number generators", OOPSLA '14): different numbers stay different.
func scatter(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
