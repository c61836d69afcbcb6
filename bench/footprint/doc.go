//go:build linux

// Package footprint measures what servers take besides time: the resident memory
// (RSS) of a process and where it lies, how far loads that are hard on memory
// drive it, and what Go's garbage collector costs it.
//
// Read first: ReadMemory and ReadWhere, Settle and WatchPeak, Load and Drive,
// ReadCycles and Collect; then ItemRow, BoundRow and GCRow, the rows of the
// tables. The program is bench/cmd/memory, which starts the servers.
//
// Processes are seen only from outside: through /proc, and through the lines that
// GODEBUG=gctrace=1 makes a Go program print. It needs Linux. Functions may be
// called from several goroutines; Drive runs one for each connection, and they
// have ended when it returns.
package footprint
