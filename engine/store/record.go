package store

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"raftcached/internal/item"
)

// A record is one item in the arena. Except for bits of its first word, its second
// word and the links of its expiry list, nothing of it changes once readers can find
// it: an item that changes is stored again.
//
//	head 4    freq 2 bits | hinted 1 | dead 1 | expiry? 1 | flags? 1 | wide cas? 1 | big? 1 |
//	          frozen 1 | freq when frozen 2 | marks? 1 | hit 1 | key length 8 |
//	          value length 11, 0 if big
//	accessed  seconds of Unix time 4
//	big       digest 8 | value length 4
//	marks     4
//	flags     4
//	cas       4, or 8 if wide
//	expiry    ms of Unix time 7 | level 1 | next 4 | previous 4
//	key, value, and up to 7 bytes that round it up
//
// Fields after accessed are there if the head says so. Integers are little
// endian. Hit and accessed are what this node knows of reads. Readers write them; they
// decide nothing and are in no digest and no image.
type record struct{ p unsafe.Pointer }

const (
	freqMask   = 3
	hintedBit  = 1 << 2
	deadBit    = 1 << 3
	expiryBit  = 1 << 4
	flagsBit   = 1 << 5
	wideBit    = 1 << 6
	bigBit     = 1 << 7
	frozenBit  = 1 << 8
	frozenFreq = 9 // shift
	marksBit   = 1 << 11
	hitBit     = 1 << 12
	keyShift   = 13
	valueShift = 21

	// fixedBits of a head never change.
	fixedBits = ^uint32(freqMask | hintedBit | deadBit | frozenBit | freqMask<<frozenFreq | hitBit)

	// smallValueMax is the longest value whose length is in the head. A longer
	// one keeps its digest in the record, for it takes long to compute.
	smallValueMax = 1<<11 - 1

	// leadBytes are before the fields that need not be there.
	leadBytes   = 8
	digestAt    = 8  // if big
	valueLenAt  = 16 // if big
	bigBytes    = 12
	marksBytes  = 4
	expiryBytes = 16

	// FreqMax is the highest count of accesses.
	FreqMax = 3
)

// Meta is what an item has besides its key and value.
type Meta struct {
	Flags    uint32
	CAS      uint64
	ExpiryMs int64      // ms of Unix time; 0: never
	Level    uint8      // of its expiry slot, if it expires; see LevelFor
	Marks    item.Marks // Stale and AlreadyWon
	Freq     uint32     // how often the item was accessed, as far as the log tells; up to FreqMax

	// Access is written with a new record. Ref.Read leaves it out: see Ref.Access.
	Access Access
}

// Access is what a node knows of the reads of an item.
type Access struct {
	Seconds uint32 // Unix time of the last access; 0 in a Meta: the store's time
	Hit     bool   // the item was read since it was stored
}

// shape is where the parts of a record lie.
type shape struct {
	marksAt, flagsAt, casAt, expiryAt, keyAt, valueAt int
	end                                               int
}

// shapeOf returns the shape of a record with the given head; valueLen is used if
// the head says big.
func shapeOf(head uint32, valueLen int) (s shape) {
	at := leadBytes
	if head&bigBit != 0 {
		at += bigBytes
	} else {
		valueLen = int(head >> valueShift)
	}
	s.marksAt = at
	if head&marksBit != 0 {
		at += marksBytes
	}
	s.flagsAt = at
	if head&flagsBit != 0 {
		at += 4
	}
	s.casAt = at
	if at += 4; head&wideBit != 0 {
		at += 4
	}
	s.expiryAt = at
	if head&expiryBit != 0 {
		at += expiryBytes
	}
	s.keyAt = at
	s.valueAt = at + int(head>>keyShift&0xff)
	s.end = s.valueAt + valueLen
	return s
}

// headFor returns the head of a record for an item, not counting freq and hit.
func headFor(m *Meta, keyLen, valueLen int) uint32 {
	head := uint32(keyLen) << keyShift
	if valueLen > smallValueMax {
		head |= bigBit
	} else {
		head |= uint32(valueLen) << valueShift
	}
	if m.Marks != 0 {
		head |= marksBit
	}
	if m.Flags != 0 {
		head |= flagsBit
	}
	if m.CAS>>32 != 0 {
		head |= wideBit
	}
	if m.ExpiryMs != 0 {
		head |= expiryBit
	}
	return head
}

// roundUp returns n rounded up to whole units.
func roundUp(n int) int { return (n + unitBytes - 1) &^ (unitBytes - 1) }

// write fills in the record of an item whose value is head followed by tail. The
// head is written last, atomically: from then on its bits may be changed.
func (r record) write(head uint32, m *Meta, key, value, tail []byte) {
	valueLen := len(value) + len(tail)
	s := shapeOf(head, valueLen)
	b := r.bytes(s.end)
	if head&bigBit != 0 {
		binary.LittleEndian.PutUint32(b[valueLenAt:], uint32(valueLen))
	}
	if head&marksBit != 0 {
		binary.LittleEndian.PutUint32(b[s.marksAt:], uint32(m.Marks))
	}
	if head&flagsBit != 0 {
		binary.LittleEndian.PutUint32(b[s.flagsAt:], m.Flags)
	}
	if head&wideBit != 0 {
		binary.LittleEndian.PutUint64(b[s.casAt:], m.CAS)
	} else {
		binary.LittleEndian.PutUint32(b[s.casAt:], uint32(m.CAS))
	}
	if head&expiryBit != 0 {
		binary.LittleEndian.PutUint64(b[s.expiryAt:], uint64(m.ExpiryMs)|uint64(m.Level)<<56)
	}
	copy(b[s.keyAt:], key)
	copy(b[s.valueAt:], value)
	copy(b[s.valueAt+len(value):], tail)
	if head&bigBit != 0 {
		binary.LittleEndian.PutUint64(b[digestAt:], digestOf(b[s.keyAt:s.valueAt], b[s.valueAt:s.end], m))
	}
	r.start(head|m.Freq, m.Access)
}

// start makes the record one that readers may find.
func (r record) start(head uint32, a Access) {
	if a.Hit {
		head |= hitBit
	}
	atomic.StoreUint32(r.accessed(), a.Seconds)
	atomic.StoreUint32(r.head(), head)
}

func (r record) head() *uint32 { return (*uint32)(r.p) }

func (r record) accessed() *uint32 { return (*uint32)(unsafe.Add(r.p, 4)) }

// access returns what this node knows of the item's reads.
func (r record) access(head uint32) Access {
	return Access{Seconds: atomic.LoadUint32(r.accessed()), Hit: head&hitBit != 0}
}

// note records a read of the item. A hot item costs its readers one write a second.
func (r record) note(head, seconds uint32) {
	if head&hitBit == 0 {
		atomic.OrUint32(r.head(), hitBit)
	}
	if atomic.LoadUint32(r.accessed()) != seconds {
		atomic.StoreUint32(r.accessed(), seconds)
	}
}

// load returns the head.
func (r record) load() uint32 { return atomic.LoadUint32(r.head()) }

// bytes returns the first n bytes.
func (r record) bytes(n int) []byte { return unsafe.Slice((*byte)(r.p), n) }

// valueLen returns the length of the value of a record with the given head.
func (r record) valueLen(head uint32) int {
	if head&bigBit == 0 {
		return int(head >> valueShift)
	}
	return int(binary.LittleEndian.Uint32(r.bytes(valueLenAt + 4)[valueLenAt:]))
}

// shape returns where the parts lie.
func (r record) shape(head uint32) shape {
	if head&bigBit == 0 {
		return shapeOf(head, 0)
	}
	return shapeOf(head, r.valueLen(head))
}

// sizeBytes is what the record takes in the arena.
func (r record) sizeBytes(head uint32) int { return roundUp(r.shape(head).end) }

// key returns the key, which aliases the arena.
func (r record) key(head uint32) []byte {
	s := shapeOf(head, 0)
	return r.bytes(s.valueAt)[s.keyAt:]
}

// read returns everything about the item. The slices alias the arena.
func (r record) read(head uint32) (key, value []byte, m Meta) {
	s := r.shape(head)
	b := r.bytes(s.end)
	m.Freq = head & freqMask
	if head&marksBit != 0 {
		m.Marks = item.Marks(b[s.marksAt])
	}
	if head&flagsBit != 0 {
		m.Flags = binary.LittleEndian.Uint32(b[s.flagsAt:])
	}
	if head&wideBit != 0 {
		m.CAS = binary.LittleEndian.Uint64(b[s.casAt:])
	} else {
		m.CAS = uint64(binary.LittleEndian.Uint32(b[s.casAt:]))
	}
	if head&expiryBit != 0 {
		m.ExpiryMs, m.Level = splitExpiry(binary.LittleEndian.Uint64(b[s.expiryAt:]))
	}
	return b[s.keyAt:s.valueAt], b[s.valueAt:s.end:s.end], m
}

// content returns the part of read that every answer has.
func (r record) content(head uint32) (flags uint32, cas uint64, value []byte) {
	s := r.shape(head)
	b := r.bytes(s.end)
	if head&flagsBit != 0 {
		flags = binary.LittleEndian.Uint32(b[s.flagsAt:])
	}
	if head&wideBit != 0 {
		cas = binary.LittleEndian.Uint64(b[s.casAt:])
	} else {
		cas = uint64(binary.LittleEndian.Uint32(b[s.casAt:]))
	}
	return flags, cas, b[s.valueAt:s.end:s.end]
}

// expiry returns when the item expires, ms of Unix time, 0 for never, and the
// level of its slot.
func (r record) expiry(head uint32) (ms int64, level uint8) {
	if head&expiryBit == 0 {
		return 0, 0
	}
	at := shapeOf(head, 0).expiryAt
	return splitExpiry(binary.LittleEndian.Uint64(r.bytes(at + 8)[at:]))
}

func splitExpiry(v uint64) (ms int64, level uint8) { return int64(v & (1<<56 - 1)), uint8(v >> 56) }

// next and previous link the items of one expiry slot. Only the applier uses
// them.
func (r record) next(head uint32) *Handle { return r.link(head, 8) }

func (r record) previous(head uint32) *Handle { return r.link(head, 12) }

func (r record) link(head uint32, at int) *Handle {
	return (*Handle)(unsafe.Add(r.p, shapeOf(head, 0).expiryAt+at))
}

// digest returns the item's part of the contents' digest.
func (r record) digest(head uint32) uint64 {
	if head&bigBit != 0 {
		return binary.LittleEndian.Uint64(r.bytes(digestAt + 8)[digestAt:])
	}
	key, value, m := r.read(head)
	return digestOf(key, value, &m)
}

// Digest is an item's part of Store.Sum.
func Digest(key, value []byte, m *Meta) uint64 { return digestOf(key, value, m) }

// digestOf covers all that a client can see of an item, and its level. How often it was
// accessed follows from the events, which have a digest of their own.
func digestOf(key, value []byte, m *Meta) uint64 {
	var b [48]byte
	binary.LittleEndian.PutUint64(b[0:], xxhash.Sum64(key))
	binary.LittleEndian.PutUint64(b[8:], xxhash.Sum64(value))
	binary.LittleEndian.PutUint64(b[16:], m.CAS)
	binary.LittleEndian.PutUint64(b[24:], uint64(m.ExpiryMs))
	binary.LittleEndian.PutUint32(b[32:], m.Flags)
	binary.LittleEndian.PutUint32(b[36:], uint32(m.Level)|uint32(m.Marks)<<8)
	binary.LittleEndian.PutUint64(b[40:], uint64(len(value)))
	return xxhash.Sum64(b[:])
}
