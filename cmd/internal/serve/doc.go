// Package serve is the process of a server: command line, signals, logging and
// exit codes around one raftcached node. cmd/raftcached is nothing else;
// cmd/server-spawner runs it in the processes that it starts.
//
// Read first: Main.
//
// Only Main's goroutine uses what is here, except for the server log: any may write to it.
package serve
