// Package wal is the durable raft log of one node: entries, hard state, and the
// point after which the log begins, in segment files.
//
// Read first: Log.Save, which makes things durable; recover.go, which finds
// them again; Record below.
//
// With Options.Background, the log prepares the next segment and removes those
// that Compact has released on its own goroutines. Close ends them.
//
// Only one goroutine at a time may call Save, Compact and Close. The reading
// methods implement raft.Storage and may be called by any goroutine.
//
// Save reserves room on the disk before it writes. If there is none it returns ErrFull,
// has written nothing, and can be called again; compactions always have room. On a
// file system that reserves nothing (ZFS) the write itself fails, which is final.
//
// # Segment, a file named by its sequence number in 16 hex digits and ".wal"
//
//	magic 8 "rcwal\x00\x00\x02" | sequence 8 | size of the segment before 8 |
//	directory id 16 | boot number 8 | incarnation 8 | checksum 4 of all that |
//	records ... | zeros
//
// Version 1 has no directory id, boot number and incarnation. It is read up to Options.Unowned.
//
// # Record
//
//	length 4 of the payload | kind 1 | checksum 4 | payload checksum 4 | synced 4 | payload
//
// Integers are little endian, checksums CRC-32C. The first checksum covers
// length, kind, payload checksum, synced, the segment's sequence and the record's
// offset in it. So a damaged length is never used, and stale or moved bytes are
// never mistaken for a record. Synced is how much of the segment was synced when
// the record was written. Kinds: 1 hard state, 2 entry, 3 compaction mark, 4 restart mark;
// their payloads are raft's protobuf messages HardState, Entry and
// SnapshotMetadata (a mark's index, term and configuration). Of the configuration
// only that of a new log is of use; later ones are in the snapshots.
//
// A compaction mark says that entries up to its index are no longer needed. A
// restart mark says that the log begins again after a snapshot. Every segment
// begins with the current hard state and mark, so that older segments can be
// removed once none of their entries is needed. The next segment may already
// exist, filled with zeros: it was prepared, and is ignored until its header is
// written.
//
// # Recovery
//
// Records are read in order. An entry replaces the entries at and after its
// index. A bad record in the last segment may be a torn write: the sectors of
// one write reach the disk in any order. It is a torn write if one of its sectors
// was never written, which leaves zeros, and if no later record says that this
// offset had been synced. A torn write was never acknowledged; it is removed,
// with everything after it, before anything else is written. It is cut off in place, which
// needs no room; what a crash leaves of it is torn too. A log that opens on a disk without
// room for a segment begins one with its first write.
//
// Any other bad record is damage to synced data. Then Open fails with a
// CorruptError rather than forget what was acknowledged. It also does so if a
// segment is shorter than the next one says, if a segment is missing or has the name
// of another, and if the commit index is beyond the last entry. A segment that another
// data folder has written, or a start that the identity does not know, is a ForeignError.
//
// One kind of damage goes unnoticed: if the last record is damaged, and one of its
// sectors consists of zeros, the record looks like a torn write, even if the
// zeros belong to the value.
package wal
