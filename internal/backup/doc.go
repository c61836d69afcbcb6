// Package backup is the file that a backup is: what a server streams, and what
// raftcachectl stores, inspects and restores.
//
// Read first: Write, which a server calls; Contents, which reads and checks.
//
// One goroutine may use a Reader or Contents.
//
// # File
//
//	magic 8 "rcbackup" | version 4 | length 4 | header | checksum 4 of all before
//	chunk   length 4 (not 0, at most 256 KiB) | checksum 4 | bytes
//	end     0 4 | bytes of all chunks 8 | xxHash64 of them 8 | checksum 4 of the end
//
// Integers are little endian, checksums CRC-32C. The header is JSON: Header. The chunks
// hold the engine's image, which has checksums, a count and a digest of its own. So
// damage of any byte, a file that ends early and bytes after the end are noticed.
package backup
