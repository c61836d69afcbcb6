// Package snapshot keeps snapshots of the replicated state, one file each, and
// receives those of other nodes.
//
// Read first: Store.Create, Store.Open, Store.Receive.
//
// A Store may be used by many goroutines, a Writer or Reader by one. A snapshot
// file is complete and synced. While it is written it has a temporary name; such
// files are removed when the store is opened.
//
// # File, named by index and term in 16 hex digits each: INDEX-TERM.snap
//
//	magic 8 "rcsnap\x00\x02" | directory id 16 | cluster id 8 | length 4 | metadata | checksum 4 of all before
//	chunk   length 4 (not 0) | checksum 4 | bytes
//	end     0 4 | size 8 of all chunks' bytes | checksum 4 of the size
//
// Integers are little endian, checksums CRC-32C. The metadata is raft's protobuf
// message SnapshotMetadata: index, term and configuration. Directory id and cluster id
// are those of the folder that the file is in: who receives a snapshot writes its own.
// Version 1 has neither. It is read up to Options.Unowned.
package snapshot
