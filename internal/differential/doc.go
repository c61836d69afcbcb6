// Command differential sends the same random requests to this server, a lone
// node, and to a real memcached, and compares what they answer, byte by byte:
//
//	go run ./internal/differential -n 1000000
//
// Requests are valid or almost valid, in the classic commands, the meta commands and
// the binary protocol. A stream is a few batches of requests on keys of its own; many
// streams run at the same time. A batch is sent in one piece. It ends with requests
// whose answers are unique, so that a missing or additional answer is found at the
// end of its batch.
//
// Each permitted difference is a rule in rules.go, with its reason. Requests that are
// not generated, because their answers cannot be compared, are listed there too. Any
// other difference is reduced to the fewest requests that show it and printed with
// the seed, and the exit code is 1.
//
// Read first: command (a request), unit (an answer), comparer (when two answers are
// equal), rules, stream.
//
// The goroutine of a stream owns its connections; all streams share a tally. Streams
// with flush_all, which affects every key, run alone.
package main
