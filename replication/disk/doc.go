// Package disk is the file system as the durable side of a node needs it: a
// small interface, so that tests can run on one in memory that crashes and
// fails.
//
// Read first: FS and File; OS, the real one, and Memory, for tests;
// WriteFileAtomic.
//
// An FS may be used by many goroutines, a File by one at a time, except ReadAt.
package disk
