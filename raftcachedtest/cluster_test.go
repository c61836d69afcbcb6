package raftcachedtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"raftcached"
	"raftcached/raftcachedtest"

	"github.com/bradfitz/gomemcache/memcache"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of workers, which lives as long as the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limit bounds a test. It is only reached by a failure, also on a busy machine.
const limit = 2 * time.Minute

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// patient gives the nodes of a test time: the race detector makes all slow, and the
// more so the more memory there is for items.
func patient(cfg *raftcached.Config) {
	cfg.RequestTimeout, cfg.MemoryLimitBytes = limit, 16<<20
}

// TestLeaderStopsAndReturns: the others go on, and the node that was away catches
// up.
func TestLeaderStopsAndReturns(t *testing.T) {
	ctx := limited(t)
	c := raftcachedtest.Start(t, 3, patient)
	leader, err := c.Leader(ctx)
	must(t, err)
	other := (leader + 1) % 3
	must(t, c.Client(other).Set(ctx, &raftcached.Item{Key: "before", Value: []byte("1")}))

	must(t, c.Stop(leader))
	must(t, c.WaitReady(ctx))
	next, err := c.Leader(ctx)
	must(t, err)
	if next == leader {
		t.Fatalf("node %d is stopped and leads", leader)
	}
	for i := range 100 {
		must(t, c.Client(other).Set(ctx, &raftcached.Item{Key: fmt.Sprint("while", i), Value: []byte("2")}))
	}

	addr := c.Addr(leader)
	must(t, c.Restart(ctx, leader))
	must(t, c.WaitReady(ctx))
	if got := c.Node(leader).ClientAddrs()[0].String(); got != addr {
		t.Errorf("it is at %s now, and was at %s", got, addr)
	}
	socket := memcache.New(addr)
	socket.Timeout = limit
	defer func() { must(t, socket.Close()) }()
	for key, want := range map[string]string{"before": "1", "while0": "2", "while99": "2"} {
		item, err := socket.Get(key)
		if err != nil || string(item.Value) != want {
			t.Errorf("%s through the node that was away: %v, %v", key, item, err)
		}
	}
}

// TestNoMajorityNoWrite: one node of three neither writes nor, by default, reads.
func TestNoMajorityNoWrite(t *testing.T) {
	ctx := limited(t)
	c := raftcachedtest.Start(t, 3, func(cfg *raftcached.Config) { patient(cfg); cfg.RequestTimeout = 500 * time.Millisecond })
	must(t, c.Stop(0))
	must(t, c.Stop(1))
	client := c.Client(2)
	err := client.Set(ctx, &raftcached.Item{Key: "k", Value: []byte("x")})
	if !errors.Is(err, raftcached.ErrNoLeader) && !errors.Is(err, raftcached.ErrOutcomeUnknown) {
		t.Errorf("a write without a majority: %v", err)
	}
	if _, err := client.Get(ctx, "k"); !errors.Is(err, raftcached.ErrNoLeader) && !errors.Is(err, raftcached.ErrReadTimeout) {
		t.Errorf("a read without a majority: %v", err)
	}
	must(t, c.Restart(ctx, 0))
	must(t, c.WaitReady(ctx))
	for { // the nodes may elect a leader for longer than this request waits
		err := client.Set(ctx, &raftcached.Item{Key: "k", Value: []byte("y")})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestWholeClusterRestarts: what was acknowledged survives all nodes.
func TestWholeClusterRestarts(t *testing.T) {
	ctx := limited(t)
	c := raftcachedtest.Start(t, 3, patient)
	must(t, c.Client(1).Set(ctx, &raftcached.Item{Key: "k", Value: []byte("x")}))
	must(t, c.Close())
	if c.Node(1) != nil {
		t.Fatal("a node of a closed cluster runs")
	}
	errs := make(chan error)
	for i := range 3 {
		go func() { errs <- c.Restart(ctx, i) }()
	}
	for range 3 {
		must(t, <-errs)
	}
	must(t, c.WaitReady(ctx))
	item, err := c.Client(2).Get(ctx, "k")
	if err != nil || string(item.Value) != "x" {
		t.Errorf("after the restart: %v, %v", item, err)
	}
	if err := c.Restart(ctx, 0); err == nil {
		t.Error("a node that runs was started again")
	}
}

// TestServersAreListed: clients that discover servers get the real ports.
func TestServersAreListed(t *testing.T) {
	c := raftcachedtest.Start(t, 2, patient)
	socket := memcache.New(c.Addrs()...)
	socket.Timeout = limit
	defer func() { must(t, socket.Close()) }()
	must(t, socket.Ping())
}

// TestStartFails: what cannot work is an error, not a wait.
func TestStartFails(t *testing.T) {
	_, err := raftcachedtest.New(limited(t), 3, func(cfg *raftcached.Config) { cfg.ItemBytesMax = 1 })
	if ce := (*raftcached.ConfigError)(nil); !errors.As(err, &ce) {
		t.Errorf("an item limit of 1 byte: %v, want a *ConfigError", err)
	}
}

func Example() {
	ctx := context.Background()
	cluster, err := raftcachedtest.New(ctx, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cluster.Close() }()

	if err := cluster.Client(0).Set(ctx, &raftcached.Item{Key: "greeting", Value: []byte("hello")}); err != nil {
		fmt.Println(err)
		return
	}
	leader, err := cluster.Leader(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cluster.Stop(leader); err != nil {
		fmt.Println(err)
		return
	}
	if err := cluster.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	other := (leader + 1) % 3
	socket := memcache.New(cluster.Addr(other))
	socket.Timeout = 10 * time.Second
	item, err := socket.Get("greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, without node %v\n", item.Value, leader == other)
	// Output: hello, without node false
}
