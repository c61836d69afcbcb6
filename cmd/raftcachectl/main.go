// Command raftcachectl shows and operates a cluster, through the admin ports of its
// servers.
//
//	raftcachectl status                   the cluster as a table
//	raftcachectl verify                   whether all servers hold the same items
//	raftcachectl member replace 1         let an empty data folder take a server's place
//	raftcachectl import 10.0.0.9:11211    copy all items of a memcached into the cluster
//	raftcachectl recover --data DIR       begin again after a majority was lost
//	raftcachectl log dump --data DIR      what is in a data folder
//	raftcachectl help                     every command
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"raftcached/cmd/internal/ctl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := ctl.Main(ctx, ctl.Process{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(code)
}
