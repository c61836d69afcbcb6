// Package conformance runs existing memcached clients, in the languages that are
// common with memcached, against three real servers. It has only tests:
//
//	make conformance                                  # all
//	go test -v ./internal/conformance                 # those that Debian has
//	go test -v ./internal/conformance -real           # against memcached, to prove the scripts
//
// Each client prints NAME: N passed, N failed. memccapable has a suite of its own and
// is run as it is. For the others, clients/ has a script that uses everything the
// client can do. A script gets the address of each server (the same one three times
// with -real), writes through one server, reads through another, and prints a line
// for each check, "ok NAME" or "not ok NAME".
//
// Checks that memcached fails too are listed in expected_test.go with the reason.
// They count as passed only if memcached fails them in the same run.
//
// If a program is missing its test is skipped, with the name of its Debian package.
// The clients for Node.js are installed from npm's registry into a temporary folder,
// and only with -npm.
package conformance
