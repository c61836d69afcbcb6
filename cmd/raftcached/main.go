// Command raftcached is the server: one node of a cluster, or a node alone.
//
//	raftcached                             one node on port 11211, as memcached starts
//	raftcached -config server.json -id 0   server 0 of the cluster in server.json
//	raftcached -h                          every flag
package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"raftcached"
	"raftcached/cmd/internal/processors"
	"raftcached/cmd/internal/serve"
)

// heapGrowthPercent is by how much Go's heap may grow over what is in use before
// it is collected, unless GOGC says otherwise. Items are not on it: what is in
// use is little, and so is the cost of looking at it more often.
const heapGrowthPercent = 50

func main() {
	limitArenas()
	processors.Govern()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowthPercent)
		go giveBack(time.Tick(giveBackGap))
	}
	os.Exit(serve.Main(serve.Process{
		Args:        os.Args[1:],
		Environment: os.Environ(),
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		Open:        open,
	}))
}

func open(ctx context.Context, cfg raftcached.Config) (serve.Node, error) {
	return raftcached.Open(ctx, cfg)
}
