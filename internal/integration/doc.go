// Package integration tests raftcached from outside: three real processes, real
// connections, clients that know nothing of this project, and kill -9. It has
// only tests; what starts and breaks the servers is internal/cluster.
//
// Read first: commands_test.go for what a client sees, kill_test.go for what a
// cluster promises.
//
// Every cluster lives at a loopback address of its own, so that tests may run at
// the same time. Servers are built with the race detector when the tests are.
package integration
