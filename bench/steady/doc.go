// Package steady is an open loop of requests: they are due at fixed times, whether or
// not earlier ones were answered, and latency is measured from when a request was due.
// So a pause of a server counts for every request that it delays.
//
// Read first: Load.Run, which sends them; Latencies, which sums up; Setup, the flags and
// servers of the programs that measure in this way.
package steady
