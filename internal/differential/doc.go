// Command differential sends the same random requests to this server, a lone
// node, and to a real memcached, and compares what they answer, byte by byte:
//
//	go run ./internal/differential -n 1000000
//
// Requests are valid and nearly valid, in the classic commands, the meta commands
// and the binary protocol. A stream is a few batches of requests on keys of its
// own; many streams run at a time. A batch is sent at once, and ends in requests
// whose answers cannot be taken for others, so that what is missing or too much
// is seen at once, not when the next answer does not fit.
//
// What may differ is a rule of rules.go, each with its reason; what is not
// generated, because it cannot be compared, is listed there too. Any other
// difference is reduced to the fewest requests that show it and printed with the
// seed; the exit code is 1 then.
//
// Read first: command (what is sent), unit (what is answered), comparer (when two
// answers are equal), rules, stream.
//
// The goroutine of a stream owns its connections; all share a tally. Streams with
// flush_all, which reaches every key, run alone.
package main
