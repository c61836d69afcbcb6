//go:build linux

// Package bench measures memcached servers from outside. Its load generator drives
// several servers in alternating rounds of one run, so that other activity on the
// machine affects all of them equally.
//
// Read first: Workload, Target, Compare. The programs in bench/cmd use it: load
// drives running servers, compare starts memcached and raftcached and prints a
// table, failover measures how long a cluster without its leader accepts no writes.
//
// Without a rate the generator is a closed loop: each connection sends a burst of
// Depth requests in one write, waits for all of their replies, and sends the next
// burst. The latency of a request is the time from the write of its burst to the read
// that returned its reply. With Workload.Rate it is an open loop: bursts are due at
// fixed times, and latency is from then, so that a pause counts for all that it delays.
//
// Each thread drives its connections with epoll and has its own buffers, histograms
// and random numbers. Threads share the sequence of keys while the cache is filled,
// and when the last reply came. The generator needs Linux.
package bench
