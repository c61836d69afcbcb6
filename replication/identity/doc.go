// Package identity keeps who a data folder belongs to: the node, and the
// cluster that it is a member of.
//
// Read first: Open, which locks the folder and raises the boot number; Identity;
// Form.
//
// The directory id is random and fixed for the life of the folder: peers know by
// it whether a node still has what it acknowledged. The boot number grows with
// each start, durably before anything is sent under it.
//
// An Identity belongs to one goroutine until it is formed; reading it is safe
// for all after that.
//
// # File "identity"
//
//	one line of JSON (type file) | "\n" | checksum, CRC-32C of the line, 8 hex digits | "\n"
package identity
