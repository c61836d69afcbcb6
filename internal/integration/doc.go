// Package integration tests raftcached from outside: three real processes, real
// connections, clients that know nothing about this project, and kill -9. It has
// only tests; internal/cluster starts and breaks the servers.
//
// Read first: commands_test.go for what a client sees, kill_test.go for what a
// cluster promises.
//
// Every cluster uses a loopback address of its own, so that tests can run at the same
// time. Servers are built with the race detector if the tests are.
package integration
