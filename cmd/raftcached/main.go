// Command raftcached is the server: one node of a cluster, or a node alone.
//
//	raftcached                             one node on port 11211, as memcached starts
//	raftcached -config server.json -id 0   server 0 of the cluster in server.json
//	raftcached -h                          every flag
package main

import (
	"context"
	"os"

	"raftcached"
	"raftcached/cmd/internal/serve"
	"raftcached/cmd/internal/tuning"
)

func main() {
	tuning.Tune()
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
