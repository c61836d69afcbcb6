// Package conformance runs other people's clients, in the languages that people
// use memcached from, against three real servers. It has only tests:
//
//	make conformance                                  # all
//	go test -v ./internal/conformance                 # those that Debian has
//	go test -v ./internal/conformance -real           # against memcached, to prove the scripts
//
// Each prints NAME: N passed, N failed. A client that has a suite of its own,
// memccapable, is run as it is; for the others clients/ holds a script that does
// what the client can do. A script gets the address of each server (the same one
// three times with -real) and prints a line for each check, "ok NAME" or "not ok
// NAME"; it writes through one server and reads through another.
//
// What fails with memcached too is listed in expected_test.go with its reason; it
// counts as passed only if memcached fails it in the same run.
//
// Programs that are missing skip their test with the Debian package that has
// them. The clients for Node.js come from npm's registry into a temporary folder,
// and only with -npm.
package conformance
