// Package wal is the durable raft log of one node: entries, hard state, and the
// point behind which the log begins, in segment files.
//
// Read first: Log.Save, which makes things durable; recover.go, which finds
// them again; Record below.
//
// With Options.Background, goroutines of the log's own make the next segment ready
// and remove those that Compact lets go; Close ends them.
//
// One goroutine at a time calls Save, Compact and Close; the reading side, which
// has the meaning and errors of raft.Storage, may be called by any.
//
// # Segment, a file named by its sequence number in 16 hex digits and ".wal"
//
//	magic 8 "rcwal\x00\x00\x01" | sequence 8 | size of the segment before 8 |
//	checksum 4 of all that | records ... | zeros
//
// # Record
//
//	length 4 of the payload | kind 1 | checksum 4 | payload checksum 4 | synced 4 | payload
//
// Integers are little endian, checksums CRC-32C. The first checksum covers
// length, kind, payload checksum, synced, the segment's sequence and the record's
// place in it: a damaged length is not followed, and no stale or moved bytes are
// taken for a record. Synced is how much of the segment was synced when the
// record was written. Kinds: 1 hard state, 2 entry, 3 compaction mark, 4 restart mark;
// their payloads are raft's protobuf messages HardState, Entry and
// SnapshotMetadata (a mark's index, term and configuration).
//
// A compaction mark says that entries up to its index are not needed any more,
// a restart mark that the log begins anew behind a snapshot. Every segment
// begins with the hard state and the mark in force, so that those before it can
// be removed once no entry in them is needed. The next one may be there already,
// all zeros: it was made ready, and counts for nothing until its header is written.
//
// # Recovery
//
// Records are read in order; an entry replaces those at and behind its index. At
// the first bad record in the last segment the scan goes on. The record was a
// write that was cut short if a sector of it never came to the disk, and no
// later record says that this place was synced before; sectors of one write come
// in any order. It was never acknowledged, and is removed with all behind it
// before anything else is written. Everything else is damage to what was synced:
// Open fails with a CorruptError rather than forget what was acknowledged. So
// does a segment that is shorter than the one behind it says, a missing one, and
// a commit index beyond the entries. What cannot be told from a write cut short
// is damage to the last record if a sector of it, or the part of one, is all
// zeros, also where the value itself holds those zeros.
package wal
