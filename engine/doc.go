// Package engine is the state machine of the cache: items in memory, changed
// only by operations that the log agreed on, in the log's order.
//
// Read first: Op, what can be done; Engine.Apply, which does it; Reader.View,
// which reads while it is done; then store, which holds the items, record, the
// form in which it does, and evict.go, which chooses what goes.
//
// It is deterministic: no IO, clock, randomness or map order decides anything,
// so engines that apply the same log have equal digests after every entry. Time
// is the stamp that the leader gave to the entry; a relative expiry becomes
// absolute when the operation is applied. Where an item lies in memory, and when
// a dead one is cleared away, is each engine's own affair and decides nothing.
//
// One goroutine, the applier, changes it: Advance, Apply, Hint, Digest, Image,
// Restore and TimeMs are its alone. Readers, each used by one goroutine, take no
// lock and wait for nothing. NewReader, Formation, Stats, NextDueMs and SizeBytes
// may be called by any.
//
// A node also knows, of its own reads alone, when an item was accessed last and
// whether it was since it was stored. That is in no image and no digest, decides
// nothing, and is told in results of this node only.
//
// # Memory
//
// Items are records in segments, runs of granules of one reserved range outside
// the Go heap. Each of the two queues of S3-FIFO is a list of segments, and the
// order of its records is the order of the queue: an item that moves to the end
// of a queue is written there anew. So a queue needs no links, eviction walks
// memory from one end to the other, and there are no size classes that could be
// of the wrong size. A record that dies leaves a hole; segments with many holes
// are merged, some bytes with each operation, see compaction. What readers may
// still see is kept until they have moved on, see epochs.
//
// # Operation (in sub-batches of the log)
//
//	kind 7 bits, fields? 1 bit | fields? | flags uvarint | exptime varint | cas uvarint |
//	delta uvarint | key length uvarint | value length uvarint | key | value
//	fields  set of Fields uvarint, not 0 | new cas uvarint | initial uvarint |
//	        vivify varint | recache varint
//
// # Image
//
// Integers are little endian, checksums CRC-32C, the whole's digest xxHash64.
//
//	head    magic 8 "rcengine" | version 4 | limits 17 | formed 1 | memory limit at formation 8 |
//	        time 8 | mutations 8 | pending flush 8 | total 8 | evictions 8 | expired 8 |
//	        digest of the queues' events 8 | items 8 | bytes small 8 | bytes main 8 |
//	        digest of the items 8 | ghosts made 8 | digest of the ghosts 8 |
//	        evicted unfetched 8 | expired unfetched 8 | checksum 4
//	limits  memory 8 | item 8 | no-evict 1
//	chunk   length 4 (not 0) | checksum 4 | kind 1 | body
//	        kind 1, 2: items of the small, the main queue, in its order, none split
//	        kind 3: part 4 | that part of the table of ghosts
//	item    key length 1 | freq 2 bits, marks? 1 bit, level 5 bits | marks? 1 | value length uvarint |
//	        flags uvarint | expiry varint | cas uvarint | key | value
//	end     0 4 | digest 8 of all before
package engine
