// Package stats counts what a server does and answers memcached's stats commands
// with it, under memcached's names and in its order.
//
// Read first: Counters (one for each event loop), State (what the backend reports
// of the cache), Collector (which adds them up).
//
// A Counters belongs to the goroutine of its loop; it publishes its counts for
// others. A Collector may be used by any goroutine. The results are data
// (protocol.StatList); package protocol formats them.
package stats
