// Package protocol is memcached's classic text protocol: bytes in, requests out;
// results in, reply bytes out. It does no IO and knows no clock.
//
// Read first: Parser.Parse; Request; Result; AppendReply and AppendValue.
//
// The specification is memcached's doc/protocol.txt; where the program differs
// from it, the program of version 1.6.45 is followed. What is answered to what
// is written down, byte by byte, in testdata, which is replayed against a real
// memcached too.
//
// A Parser belongs to one connection and one goroutine. The functions are pure.
// Parsing and replying allocate nothing in steady state.
package protocol
