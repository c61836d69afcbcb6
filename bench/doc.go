//go:build linux

// Package bench measures memcached servers from outside: a load generator that
// drives several servers in alternating rounds of one run, so that what the
// machine does meanwhile hits all of them alike.
//
// Read first: Workload, Target, Compare. The programs in bench/cmd use it: load
// drives servers that run already, compare starts memcached and raftcached and
// prints a table, failover measures how long a cluster without its leader takes
// no writes.
//
// The generator is a closed loop: each connection sends a burst of Depth
// requests in one write, waits for all of their replies, and sends the next. The
// latency of a request runs from the write of its burst to the read that brought
// its reply. Each thread drives its connections by epoll with its own buffers,
// histograms and random numbers; threads share nothing but the sequence of keys
// while the cache is filled. It needs Linux.
package bench
