// Package store is the memory of the cache: it holds the items, and finds, keeps,
// moves and unlinks them as the engine decides. It decides nothing itself: where an item
// lies, and when an expired one is unlinked, changes nothing that a client or another
// node can see.
//
// Read first: Store, which holds the items; Place, what a key was found to hold;
// Ref, an item where it lies; Reader and Current, how it is read while it changes;
// then record, the form of an item in memory.
//
// # Goroutines and slices
//
// One goroutine, the applier, may call Store, Walk and Current, except for
// Current.NewReader, which any goroutine may call. A Reader is used by one goroutine
// at a time; between Enter and Leave it may call the store's Lookup, Alive, NowMs and
// Seconds, and the methods of a Ref that it found. Readers take no lock and never
// wait.
//
// Slices that a Ref or a Walk returns alias the memory of the item. They never change.
// They are valid for a reader until Leave, and for the applier until the next call of
// Store.Free. Slices that are passed in are copied; they may alias items.
//
// # Memory
//
// Items are records in segments, runs of granules of one reserved range outside the
// Go heap. Each of the two queues is a list of segments, and the order of its records
// is the order of the queue: an item that moves to the end of a queue is copied there.
// So a queue needs no links, eviction walks memory from one end to the other, and there
// are no size classes that could be of the wrong size. A record that dies leaves a
// hole. Segments with many holes are merged, a few bytes with each operation, see
// compaction. What readers may still see is kept until they have moved on, see epochs.
//
// # Words
//
// account, unaccount: add an item to the sums that are charged, and take it out.
// An item that expires leaves the sums when its expiry slot ends.
//
// unlink: take an item out of the index and the sums, whatever the reason.
//
// kill: mark a record dead. The record of an item that was unlinked, stored again or
// moved dies.
//
// retire: put memory that holds nothing alive out of use, a segment, a table of the
// index or a whole store. Readers may still be in it.
//
// free: take back what was retired, once no reader can be in it, for use by other items.
//
// release: give memory back to the operating system.
package store
