// Package engine is the state machine of the cache: it holds the items, and changes
// them only by operations that the log agreed on, in the log's order.
//
// Read first: Op, what can be done; Engine.Apply, which does it; Reader.View, which
// reads meanwhile; evict.go, which chooses the items that leave when the memory is
// full. Package store holds the items and decides nothing; everything that is decided
// is decided here.
//
// The engine is deterministic: no IO, clock, randomness or map order decides anything,
// so engines that apply the same log have equal digests after every entry. Time is the
// stamp that the leader gave to the entry; a relative expiry becomes absolute when the
// operation is applied.
//
// The items of a backup come into an empty cache by operations too, see fill.go;
// StoredImage reads an image without an engine.
//
// One goroutine, the applier, calls Advance, Apply, Hint, Tidy, Digest, Image, Restore
// and TimeMs. A Reader is used by one goroutine at a time; it takes no lock and never
// waits. Any goroutine may call NewReader, Formation, Stats, NextDueMs and SizeBytes.
//
// A node also knows when an item was last read on this node, and whether it was read
// since it was stored. That is in no image and no digest, decides nothing, and only
// results of this node report it.
//
// # Words
//
// Items leave in three ways. They are deleted if a client asked for that, by delete or
// flush_all; evicted if the engine chose them because the memory is full; or they
// expire. In each case the store unlinks them; its package comment has the words for
// what happens to their memory.
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
//	        evicted unfetched 8 | expired unfetched 8 | seed? | fill? | offset? | checksum 4
//	        version: 4, and 1 if there is a fill, 2 if a seed, 4 if an offset, 8 if the plan has one
//	seed    of the hash of keys 8, not 0
//	offset  of the time, ms 8, not 0
//	fill    going 1 | chunks 8 | items 8 | digest of the items 8 |
//	        plan: version 1 | time 8 | mutations 8 | chunks 8 | items 8 | bytes 8 |
//	        digest of the items 8 | digest of the chunks 8 | largest item 8 | largest charge 8
//	limits  memory 8 | item 8 | no-evict 1
//	chunk   length 4 (not 0) | checksum 4 | kind 1 | body
//	        kind 1, 2: items of the small, the main queue, in its order, none split
//	        kind 3: part 4 | that part of the table of ghosts
//	item    key length 1 | freq 2 bits, marks? 1 bit, level 5 bits | marks? 1 | value length uvarint |
//	        flags uvarint | expiry varint | cas uvarint | key | value
//	end     0 4 | digest 8 of all before
package engine
