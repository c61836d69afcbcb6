//go:build linux

// Command rivals measures raftcached beside Redis, etcd, dragonboat and memcached: in
// alternating rounds of one run, with the same load, durability and number of servers.
//
//	make bench-compare COMPAREFLAGS='-duration 10s -rounds 5 -html page.html' > bench/results/NAME.md
//
// Read first: rows, which says who is compared in what, and the figures to reach; then
// system, what is started; target, what is driven; measureRow, the rounds.
//
// Servers are processes of their own. etcd, and the nodes and clients of dragonboat and
// raftcached in one process, are this program again (child.go). Network clients are
// package bench's generator, for etcd the workers of drive.go over its own client;
// in-process clients are the same workers, whose processor time is part of the servers'.
//
// In each round one target is driven, while the others of the row are idle. Processor
// time and memory are read from /proc: of the target's processes, of the generator, and
// of the whole machine, so that what else ran is known.
package main
