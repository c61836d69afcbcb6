// Package identity stores which node a data folder belongs to, and which cluster the
// node is a member of.
//
// Read first: Open, which locks the folder and increments the boot number; Identity;
// Form; Floor, by which a lost log is noticed; Lineage and Memory, by which servers
// notice that another's folder is a copy; Recovery.
//
// The directory id is random and never changes. It tells peers whether a node still
// has everything that it acknowledged. The boot number increases with each start; it
// is durable before anything is sent with it.
//
// Any goroutine may use an Identity once Open has returned it.
//
// The file "identity.spare" only holds room, so that a start on a full disk can write the
// identity.
//
// # File "identity"
//
// Version 5. Version 4 is read, which knows no recovery. Version 3 is of a folder whose
// segments and snapshots do not name their owner. Version 2 has no client ports, and
// version 1 no floor, no incarnations, and no memory of other folders.
//
//	one line of JSON (type file) | "\n" | checksum, CRC-32C of the line, 8 hex digits | "\n"
package identity
