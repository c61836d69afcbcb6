// Package spawn runs every server of a server.json as a process on this machine: it
// starts them, reports when the cluster serves and when a server ends, and stops
// the rest. It is the implementation of cmd/server-spawner.
//
// Read first: Main, then Spawner.
//
// The servers are this same program, started again (/proc/self/exe) with
// childVariable in their environment: nothing has to be built or found. A server
// must not outlive its spawner, however the spawner ends, so there are two ties:
//
//   - a pipe whose write end only the spawner holds. Its end of file makes the
//     server stop gracefully;
//   - the parent-death signal, which also ends a server that is stopped
//     (SIGSTOP) and cannot read the pipe. It is sent when the thread that started
//     the server ends, so Main keeps its thread.
//
// Main runs on one goroutine, which owns the table of servers; one goroutine
// waits for each process, one polls for readiness, and all report to it through
// channels.
package spawn
