//go:build linux

// Package footprint measures the resident memory (RSS) of server processes and what
// it consists of, how far it grows under loads that are hard on memory, and what Go's
// garbage collector costs.
//
// Read first: ReadMemory and ReadWhere, Settle and WatchPeak, Load and Drive,
// ReadCycles and Collect; then ItemRow, BoundRow and GCRow, the rows of the
// tables. The program is bench/cmd/memory, which starts the servers.
//
// Processes are only observed from outside: through /proc, and through the lines that
// a Go program prints with GODEBUG=gctrace=1. The package needs Linux. Its functions
// may be called from several goroutines. Drive runs one goroutine for each
// connection, and waits for all of them before it returns.
package footprint
