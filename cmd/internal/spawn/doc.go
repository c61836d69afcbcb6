// Package spawn runs every server of a server.json as a process of its own on
// this machine: it starts them, tells when the cluster serves, reports those
// that end, and stops the rest. It is what cmd/server-spawner is made of.
//
// Read first: Main, then Spawner.
//
// The servers are this very program, started anew (/proc/self/exe) with
// childVariable in their environment: nothing has to be built or found. A
// server must not outlive its spawner, however that ends, so there are two ties:
//
//   - a pipe whose write end only the spawner holds. Its end of file stops the
//     server in order, on every system;
//   - on Linux, the parent-death signal, which also ends a server that is
//     stopped (SIGSTOP) and so reads no pipe. It fires when the thread that
//     started the server ends: Main keeps its thread for that.
//
// Main runs on one goroutine, which owns the table of servers; one goroutine
// waits for each process, one polls for readiness, and all report to it by
// channels.
package spawn
