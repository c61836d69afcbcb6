// Package protocol is memcached's classic text protocol: bytes in, requests out;
// results in, reply bytes out. It does no IO and knows no clock.
//
// Read first: Parser.Parse; Request; Result; AppendReply and AppendValue.
//
// The specification is memcached's doc/protocol.txt; where the program differs
// from it, the program of version 1.6.45 is followed. What is answered to what
// is written down, byte by byte, in testdata, which is replayed against a model,
// against this server and against a real memcached.
//
// A request is a line, and for storage commands a data block of the declared
// length:
//
//	get|gets KEY...                                   up to 8 MiB
//	gat|gats EXPTIME KEY...                           this and the following: up
//	set|add|replace|append|prepend                    to 2048 bytes, unless the
//	    KEY FLAGS EXPTIME BYTES [noreply]             line is received at once
//	cas KEY FLAGS EXPTIME BYTES CAS [noreply]
//	touch KEY EXPTIME [noreply]
//	delete KEY [0] [noreply]
//	incr|decr KEY DELTA [noreply]
//	flush_all [DELAY] [noreply]
//	cache_memlimit MB [noreply]
//	version | verbosity LEVEL [noreply] | stats [ARG...] | shutdown [graceful] | quit
//
//	word     size     what it is
//	KEY      1..250   bytes, any but a blank and a line feed
//	FLAGS    32 bits  decimal; of more, the lower 32 are kept
//	EXPTIME  32 bits  decimal, may be negative; of storage commands 64 bits
//	BYTES    31 bits  decimal: length of the data block without its line end
//	CAS      64 bits  decimal
//	DELTA    64 bits  decimal
//	MB       32 bits  decimal: mebibytes, up to 1000000000
//
// Words are separated by one or more blanks. Lines end in "\r\n" or "\n", data
// blocks in "\r\n". Words beyond those needed are passed over, but the last one
// may be noreply.
//
// A Parser belongs to one connection and one goroutine. The functions are pure.
// Parsing and replying allocate nothing in steady state.
package protocol
