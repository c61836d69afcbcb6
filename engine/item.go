package engine

import (
	"encoding/binary"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// itemOverheadBytes is what an item is charged besides its key and value, about
// the header that memcached keeps for one.
const itemOverheadBytes = 64

// Item is what a reader sees of an item, for the duration of a call.
type Item struct {
	Flags uint32
	CAS   uint64
	Value []byte
}

// item is one key with its value. What readers and images read never changes
// after the item was published; prev, next and heapAt belong to the applier.
type item struct {
	bytes    []byte // key and value in one allocation
	keyLen   int
	flags    uint32
	expiryMs int64 // 0: never; expired once the engine's time has reached it
	cas      uint64
	order    uint64 // number of the mutation that stored it: its place in the queue
	digest   uint64

	prev, next *item // in the queue
	heapAt     int   // in the expiry heap, or -1
}

func newItem(key, head, tail []byte) *item {
	b := make([]byte, 0, len(key)+len(head)+len(tail))
	b = append(append(append(b, key...), head...), tail...)
	return &item{bytes: b, keyLen: len(key), heapAt: -1}
}

func (it *item) key() []byte   { return it.bytes[:it.keyLen] }
func (it *item) value() []byte { return it.bytes[it.keyLen:] }

// keyString returns the key as a string that shares the item's memory, which
// never changes.
func (it *item) keyString() string {
	return unsafe.String(unsafe.SliceData(it.bytes), it.keyLen)
}

func (it *item) charge() int64 { return int64(len(it.bytes)) + itemOverheadBytes }

// seal computes the item's part of the digest, after all else is set.
func (it *item) seal() {
	var b [40]byte
	binary.LittleEndian.PutUint64(b[0:], xxhash.Sum64(it.bytes))
	binary.LittleEndian.PutUint32(b[8:], uint32(it.keyLen))
	binary.LittleEndian.PutUint32(b[12:], it.flags)
	binary.LittleEndian.PutUint64(b[16:], uint64(it.expiryMs))
	binary.LittleEndian.PutUint64(b[24:], it.cas)
	binary.LittleEndian.PutUint64(b[32:], it.order)
	it.digest = xxhash.Sum64(b[:])
}
