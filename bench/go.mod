// What measures raftcached, apart from the product: its dependencies and the
// time of its tests are not the product's.
module raftcached/bench

go 1.26

require (
	github.com/HdrHistogram/hdrhistogram-go v1.1.2
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.35.0
	raftcached v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/zeebo/xxh3 v1.1.0 // indirect
)

replace raftcached => ../
