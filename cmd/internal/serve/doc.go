// Package serve is the command line of a server: flags, environment, signals
// and exit codes around one raftcached node. cmd/raftcached is nothing else;
// cmd/server-spawner runs it in the processes that it starts.
//
// Read first: Main, then the table settings in settings.go, which is the one
// list of what can be set.
//
// Only Main's goroutine uses what is here.
package serve
