package raftcached_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"raftcached"

	"github.com/bradfitz/gomemcache/memcache"
)

// A node alone, as memcached starts, in a program of one's own. Any memcached
// client can use it; the program itself needs no socket.
func Example() {
	ctx := context.Background()
	node, err := raftcached.Open(ctx, raftcached.Config{
		ClientAddrs: []string{"127.0.0.1:0"},
		MemoryDisk:  raftcached.NewMemoryDisk(), // a server has a DataDir instead
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = node.Close() }()

	if err := node.Client().Set(ctx, &raftcached.Item{Key: "greeting", Value: []byte("hello")}); err != nil {
		fmt.Println(err)
		return
	}
	socket := memcache.New(node.ClientAddrs()[0].String())
	socket.Timeout = 10 * time.Second
	item, err := socket.Get("greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", item.Value)
	// Output: hello
}

// A server.json describes a cluster; each server opens its own part of it.
func ExampleReadCluster() {
	cluster, err := raftcached.ReadCluster("server.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range cluster.Servers {
		cfg, err := cluster.Config(s.ID)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.ID, s.ClientAddr(), s.PeerAddr(), cfg.DataDir)
	}
	// Output:
	// 0 127.0.0.1:11211 127.0.0.1:11311 data/0
	// 1 127.0.0.1:11212 127.0.0.1:11312 data/1
	// 2 127.0.0.1:11213 127.0.0.1:11313 data/2
}

// Three nodes of one cluster. Here they are in one process; package raftcachedtest
// does the same for tests, without ports that are known in advance.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "raftcached")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var servers []raftcached.Server
	var peers []net.Listener // opened first: all servers need the ports of all
	for id := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			return
		}
		peers = append(peers, l)
		servers = append(servers, raftcached.Server{ID: id, Host: "127.0.0.1", ClientPort: 11211 + id, LogPort: l.Addr().(*net.TCPAddr).Port})
	}
	// A new cluster forms when its servers have met, so that they are opened together.
	type opened struct {
		node *raftcached.Node
		err  error
	}
	results := make(chan opened)
	for id := range servers {
		go func() {
			node, err := raftcached.Open(context.Background(), raftcached.Config{
				ServerID: id, Servers: servers, DataDir: filepath.Join(dir, fmt.Sprint(id)),
				ClientAddrs: []string{"127.0.0.1:0"}, PeerListener: peers[id],
			})
			results <- opened{node, err}
		}()
	}
	serving := 0
	for range servers {
		r := <-results
		if r.err != nil {
			fmt.Println(r.err)
			continue
		}
		serving++
		defer func() { _ = r.node.Close() }()
	}
	fmt.Println(serving, "nodes serve")
	// Output: 3 nodes serve
}

// A node stops by itself only after a failure, upon which its process should end.
func ExampleNode_Done() {
	ctx, stop := context.WithCancel(context.Background()) // as signal.NotifyContext returns it
	defer stop()
	node, err := raftcached.Open(ctx, raftcached.Config{ClientAddrs: []string{"127.0.0.1:0"}, MemoryDisk: raftcached.NewMemoryDisk()})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop() // somebody interrupts the program
	select {
	case <-node.Done():
		fmt.Println("failed:", node.Err())
	case <-ctx.Done():
		fmt.Println("closed:", node.Close())
	}
	// Output: closed: <nil>
}

// What a wrong configuration is answered with.
func ExampleConfig_Complete() {
	_, err := raftcached.Config{MemoryLimitBytes: 4 << 20, ItemBytesMax: 3 << 20}.Complete()
	var wrong *raftcached.ConfigError
	fmt.Println(errors.As(err, &wrong))
	fmt.Println(err)

	cfg, err := raftcached.Config{MemoryLimitBytes: 1 << 20}.Complete()
	fmt.Println(cfg.ItemBytesMax, cfg.RequestTimeout, err)
	// Output:
	// true
	// ItemBytesMax is 3145728: lower it to 2097152, half of MemoryLimitBytes, which is 4194304
	// 524288 2s <nil>
}

// A program can take the flags of cmd/raftcached.
func ExampleParseArguments() {
	arguments, err := raftcached.ParseArguments([]string{"-p", "11999", "-m64"},
		[]string{"RAFTCACHED_READS=local", "RAFTCACHED_MEMORY_LIMIT=1024"})
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := arguments.Config
	fmt.Println(cfg.ClientAddrs, cfg.MemoryLimitBytes>>20, cfg.Reads)

	_, err = raftcached.ParseArguments([]string{"-m", "20000"}, os.Environ())
	fmt.Println(err)
	// Output:
	// [:11999] 64 local
	// -m is "20000": write a whole number of MiB from 1 to 16383
}

// Compare-and-swap: change an item that others may change too.
func ExampleClient_CompareAndSwap() {
	ctx := context.Background()
	node, err := raftcached.Open(ctx, raftcached.Config{ClientAddrs: []string{"127.0.0.1:0"}, MemoryDisk: raftcached.NewMemoryDisk()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = node.Close() }()
	client := node.Client()
	if err := client.Add(ctx, &raftcached.Item{Key: "names", Value: []byte("Ada")}); err != nil {
		fmt.Println(err)
		return
	}
	for {
		item, err := client.Get(ctx, "names")
		if err != nil {
			fmt.Println(err)
			return
		}
		item.Value = append(item.Value, ", Grace"...)
		if err = client.CompareAndSwap(ctx, item); errors.Is(err, raftcached.ErrCASConflict) {
			continue // somebody was faster: look again
		} else if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", item.Value)
		return
	}
	// Output: Ada, Grace
}
