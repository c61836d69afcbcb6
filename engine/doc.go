// Package engine is the state machine of the cache: items in memory, changed
// only by operations that the log agreed on, in the log's order.
//
// Read first: Op, what can be done; Engine.Apply, which does it; Engine.View,
// which reads while it is done.
//
// It is deterministic: no IO, clock, randomness or map order decides anything,
// so engines that apply the same log have equal digests after every entry. Time
// is the stamp that the leader gave to the entry; a relative expiry becomes
// absolute when the operation is applied. Eviction is the log's order: what was
// stored first goes first.
//
// One goroutine, the applier, calls Advance, Apply, Digest, Image and Restore.
// View, Stats, NextDueMs, TimeMs and SizeBytes may be called by any. Items are
// immutable once readers can find them: a change publishes another item, so
// that an Image is no more than a list of items.
//
// # Operation (in sub-batches of the log)
//
//	kind 1 | flags uvarint | exptime varint | cas uvarint | delta uvarint |
//	key length uvarint | value length uvarint | key | value
//
// # Result (within the node)
//
//	status 1 | flags uvarint | cas uvarint | number uvarint |
//	key length uvarint | value length uvarint | key | value
//
// # Image
//
// Integers are little endian, checksums CRC-32C.
//
//	head    magic 8 "rcengine" | version 4 | memory limit 8 | item limit 8 | no-evict 1 |
//	        time 8 | mutations 8 | horizon 8 | pending flush 8 |
//	        total 8 | evictions 8 | expired 8 | items 8 | checksum 4
//	chunk   length 4 (not 0) | checksum 4 | items, in queue order, none split
//	item    key length uvarint | value length uvarint | flags uvarint | expiry varint |
//	        cas uvarint | order uvarint | key | value
//	end     0 4 | digest 8 | checksum 4 of the digest
package engine
