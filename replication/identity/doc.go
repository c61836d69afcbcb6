// Package identity stores which node a data folder belongs to, and which cluster the
// node is a member of.
//
// Read first: Open, which locks the folder and increments the boot number; Identity;
// Form.
//
// The directory id is random and never changes. It tells peers whether a node still
// has everything that it acknowledged. The boot number increases with each start; it
// is durable before anything is sent with it.
//
// An Identity belongs to one goroutine until it is formed. After that any goroutine
// may read it.
//
// # File "identity"
//
//	one line of JSON (type file) | "\n" | checksum, CRC-32C of the line, 8 hex digits | "\n"
package identity
