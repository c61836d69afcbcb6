// Package frame writes and reads the MessagePack of which log entries and the
// frames between nodes are made: arrays, integers, byte strings, strings,
// booleans and nil.
//
// Read first: the Append functions, which encode to the end of a slice as
// github.com/vmihailenco/msgpack does; Reader, which decodes with bounds.
//
// Bytes of a peer are never given to a general decoder: one that trusts a
// length field allocates what five bytes claim, and one that recurses overflows
// the stack on nested arrays. Reader neither allocates nor recurses.
//
// The functions are pure. A Reader belongs to one goroutine.
package frame
