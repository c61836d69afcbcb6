// Command server-spawner starts every server of a server.json as a process of
// its own on this machine, reports when the cluster serves, and stops all of them
// when it is stopped.
//
//	go run ./cmd/server-spawner
//	go run ./cmd/server-spawner -config server.json
package main

import (
	"context"
	"fmt"
	"os"

	"raftcached"
	"raftcached/cmd/internal/serve"
	"raftcached/cmd/internal/spawn"
	"raftcached/cmd/internal/tuning"
)

func main() {
	if !spawn.IsChild(os.Getenv) {
		os.Exit(spawn.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	gone, err := spawn.SpawnerGone(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "raftcached:", err)
		os.Exit(1)
	}
	tuning.Tune()
	os.Exit(serve.Main(serve.Process{
		Args:        os.Args[1:],
		Environment: os.Environ(),
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		Open:        open,
		Stop:        gone,
	}))
}

func open(ctx context.Context, cfg raftcached.Config) (serve.Node, error) {
	return raftcached.Open(ctx, cfg)
}
