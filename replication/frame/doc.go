// Package frame writes and reads the MessagePack of which log entries and the
// frames between nodes are made: arrays, integers, byte strings, strings,
// booleans and nil.
//
// Read first: the Append functions, which encode to the end of a slice; Reader,
// which decodes with bounds. Both use the low-level calls of
// github.com/vmihailenco/msgpack/v5, one value at a time.
//
// Bytes of a peer are never given to the library's general decoding. That
// trusts a length field and allocates what five bytes claim, and it recurses
// and overflows the stack on nested arrays. Reader lets the library read numbers
// and lengths only, checks every type and length itself, and returns byte
// strings as parts of its input. It neither allocates for them nor recurses.
//
// The functions are pure. A Reader belongs to one goroutine.
package frame
