package raftcached_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
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

// operations are done in their order; keys are of one way only.
var operations = []struct {
	name string
	do   func(c cache) string
	want string
}{
	{"get nothing", func(c cache) string { return c.get("a") }, "miss"},
	{"set", func(c cache) string { return c.store("set", "a", "1", 7, 0) }, "ok"},
	{"get", func(c cache) string { return c.get("a") }, `a="1" flags 7`},
	{"set empty", func(c cache) string { return c.store("set", "empty", "", 0, 0) }, "ok"},
	{"get empty", func(c cache) string { return c.get("empty") }, `empty="" flags 0`},
	{"add there", func(c cache) string { return c.store("add", "a", "2", 0, 0) }, "not stored"},
	{"add", func(c cache) string { return c.store("add", "b", "2", 1, 100) }, "ok"},
	{"replace", func(c cache) string { return c.store("replace", "b", "22", 2, 0) }, "ok"},
	{"replace nothing", func(c cache) string { return c.store("replace", "none", "2", 0, 0) }, "not stored"},
	{"append", func(c cache) string { return c.store("append", "b", "3", 9, 0) }, "ok"},
	{"append nothing", func(c cache) string { return c.store("append", "none", "3", 0, 0) }, "not stored"},
	{"prepend", func(c cache) string { return c.store("prepend", "b", "1", 9, 0) }, "ok"},
	{"prepend nothing", func(c cache) string { return c.store("prepend", "none", "1", 0, 0) }, "not stored"},
	{"get many", func(c cache) string { return c.get("a", "none", "b") }, `a="1" flags 7 b="1223" flags 2ok`},
	{"get many of nothing", func(c cache) string { return c.get("none", "none2") }, "ok"},
	{"swap", func(c cache) string { return c.swap("a", "5", func() {}) }, "ok"},
	{"swap too late", func(c cache) string { return c.swap("a", "6", func() { c.store("set", "a", "7", 0, 0) }) }, "conflict"},
	{"swap what is gone", func(c cache) string { return c.swap("a", "6", func() { c.other("delete", "a", 0) }) }, "miss"},
	{"delete nothing", func(c cache) string { return c.other("delete", "a", 0) }, "miss"},
	{"incr text", func(c cache) string { c.store("set", "t", "x", 0, 0); return c.other("incr", "t", 1) }, "cannot increment or decrement non-numeric value"},
	{"incr nothing", func(c cache) string { return c.other("incr", "none", 1) }, "miss"},
	{"incr", func(c cache) string {
		c.store("set", "n", "18446744073709551615", 0, 0)
		return c.other("incr", "n", 3)
	}, "2"},
	{"decr", func(c cache) string { return c.other("decr", "n", 1) }, "1"},
	{"decr below", func(c cache) string { return c.other("decr", "n", 9) }, "0"},
	{"touch nothing", func(c cache) string { return c.other("touch", "none", 10) }, "miss"},
	{"touch", func(c cache) string { return c.other("touch", "n", 100) }, "ok"},
	{"get and touch nothing", func(c cache) string { return c.getAndTouch("none", 10) }, "miss"},
	{"get and touch", func(c cache) string { return c.getAndTouch("b", 100) }, `b="1223" flags 2`},
	{"expired from the start", func(c cache) string { return c.store("set", "gone", "x", 0, -1) + c.get("gone") }, "okmiss"},
	{"touch into the past", func(c cache) string { return c.other("touch", "n", 0xffffffff) + c.get("n") }, "okmiss"},
	{"a key too long", func(c cache) string { return c.get(strings.Repeat("k", 251)) }, "malformed"},
	{"a key as long as may be", func(c cache) string { return c.store("set", strings.Repeat("k", 250), "x", 0, 0) }, "ok"},
	{"a key with a blank", func(c cache) string { return c.store("set", "a b", "x", 0, 0) }, "malformed"},
	{"set too large", func(c cache) string {
		c.store("set", "large", "x", 0, 0)
		return c.store("set", "large", strings.Repeat("x", 1<<20), 0, 0) + ", then " + c.get("large")
	}, "object too large for cache, then miss"},
	{"add too large", func(c cache) string {
		c.store("set", "large", "x", 0, 0)
		return c.store("add", "large", strings.Repeat("x", 1<<20), 0, 0) + ", then " + c.get("large")
	}, `object too large for cache, then large="x" flags 0`},
	{"set what just fits", func(c cache) string {
		for n := 1<<20 - 60; ; n-- { // headers count too
			if got := c.store("set", "large", strings.Repeat("x", n), 0, 0); got != "object too large for cache" {
				return got + " " + c.get("large")
			}
		}
	}, "ok large=<1048512 bytes> flags 0"},
	{"append too much", func(c cache) string { return c.store("append", "large", strings.Repeat("x", 1000), 0, 0) }, "not stored"},
	{"flush", func(c cache) string { return c.other("flush", "", 0) + c.get("b") }, "okmiss"},
}

// TestClientIsAsASocket does the same through a socket and without one: at a node
// alone, a leader and a follower.
func TestClientIsAsASocket(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " nodes"), func(t *testing.T) {
			c := raftcachedtest.Start(t, n, patient)
			ctx := limited(t)
			for i := range n {
				socket := memcache.New(c.Addr(i))
				socket.Timeout = limit
				for _, way := range []cache{bySocket{socket}, inProcess{ctx, c.Client(i)}} {
					for _, o := range operations {
						if got := o.do(way); got != o.want {
							t.Errorf("node %d, %T, %s: %s, want %s", i, way, o.name, got, o.want)
						}
					}
				}
				must(t, socket.Close())
			}
		})
	}
}

// TestClientsSeeEachOther: what one way has written the other reads, at another
// node.
func TestClientsSeeEachOther(t *testing.T) {
	c := raftcachedtest.Start(t, 3, patient)
	ctx := limited(t)
	for i := range 3 {
		next := (i + 1) % 3
		must(t, c.Client(i).Set(ctx, &raftcached.Item{Key: "k", Value: fmt.Append(nil, i)}))
		socket := memcache.New(c.Addr(next))
		socket.Timeout = limit
		item, err := socket.Get("k")
		if err != nil || string(item.Value) != fmt.Sprint(i) {
			t.Errorf("node %d by a socket: %v, %v; want %d", next, item, err, i)
		}
		must(t, socket.Set(&memcache.Item{Key: "k", Value: []byte("socket")}))
		must(t, socket.Close())
		if item, err := c.Client(i).Get(ctx, "k"); err != nil || string(item.Value) != "socket" {
			t.Errorf("node %d in the process: %v, %v", i, item, err)
		}
	}
}

// TestIncrementsCountOnce: many callers on all nodes, while the leader changes.
func TestIncrementsCountOnce(t *testing.T) {
	const callers, each = 20, 25
	c := raftcachedtest.Start(t, 3)
	ctx := limited(t)
	must(t, c.Client(0).Set(ctx, &raftcached.Item{Key: "n", Value: []byte("0")}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	done, unknown := 0, 0
	leader, err := c.Leader(ctx)
	must(t, err)
	for i := range callers {
		wg.Go(func() {
			client := c.Client([]int{(leader + 1) % 3, (leader + 2) % 3}[i%2])
			for range each {
				_, err := client.Increment(ctx, "n", 1)
				mu.Lock()
				switch {
				case err == nil:
					done++
				case errors.Is(err, raftcached.ErrOutcomeUnknown):
					unknown++
				case !errors.Is(err, raftcached.ErrNoLeader):
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	must(t, c.Stop(leader))
	wg.Wait()
	n, err := c.Client((leader+1)%3).Increment(ctx, "n", 0)
	must(t, err)
	if int(n) < done || int(n) > done+unknown {
		t.Errorf("the counter is %d after %d increments and %d of unknown outcome", n, done, unknown)
	}
}

// TestManyCallers: more than may be in flight, reads among them.
func TestManyCallers(t *testing.T) {
	const callers = 3000
	c := raftcachedtest.Start(t, 1, patient)
	ctx := limited(t)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			value := strings.Repeat(key, 500) // together more than a loop may have in flight
			if err := c.Client(0).Set(ctx, &raftcached.Item{Key: key, Value: []byte(value)}); err != nil {
				t.Error(err)
			}
			if item, err := c.Client(0).Get(ctx, key); err != nil || string(item.Value) != value {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	wg.Wait()
}

// TestContextEnds: a call whose context has ended is not begun; one that ends
// while a write is under way leaves its outcome unknown.
func TestContextEnds(t *testing.T) {
	c := raftcachedtest.Start(t, 3, func(cfg *raftcached.Config) { cfg.RequestTimeout = time.Minute })
	client := c.Client(2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := client.Set(ended, &raftcached.Item{Key: "k", Value: []byte("x")})
	if !errors.Is(err, context.Canceled) || errors.Is(err, raftcached.ErrOutcomeUnknown) {
		t.Errorf("a context that had ended: %v", err)
	}
	if _, err := client.Get(limited(t), "k"); !errors.Is(err, raftcached.ErrCacheMiss) {
		t.Errorf("it has effect: %v", err)
	}
	must(t, c.Stop(0))
	must(t, c.Stop(1))
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // enough for the node to take the request
	defer cancel()
	err = client.Set(short, &raftcached.Item{Key: "k", Value: []byte("x")})
	if !errors.Is(err, raftcached.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write without a majority: %v, want that its outcome is unknown, and why", err)
	}
	if _, err := client.Get(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read without a majority: %v", err)
	}
}

// TestCloseWhileWaiting: a node that closes does not leave callers waiting.
func TestCloseWhileWaiting(t *testing.T) {
	c := raftcachedtest.Start(t, 3)
	client := c.Client(2)
	must(t, c.Stop(0))
	must(t, c.Stop(1))
	ctx := limited(t)
	results := make(chan error)
	go func() { results <- client.Set(ctx, &raftcached.Item{Key: "k", Value: []byte("x")}) }()
	go func() {
		_, err := client.Get(ctx, "k")
		results <- err
	}()
	must(t, c.Stop(2))
	for range 2 {
		if err := <-results; err == nil || ctx.Err() != nil {
			t.Errorf("a call to a node that closes: %v", err)
		}
	}
	if err := client.Set(ctx, &raftcached.Item{Key: "k"}); !errors.Is(err, raftcached.ErrClosed) {
		t.Errorf("a call to a node that is closed: %v", err)
	}
}

func TestFlushCanBeDisabled(t *testing.T) {
	c := raftcachedtest.Start(t, 1, func(cfg *raftcached.Config) { cfg.FlushDisabled = true })
	if err := c.Client(0).FlushAll(limited(t)); !errors.Is(err, raftcached.ErrFlushDisabled) {
		t.Error(err)
	}
}

// TestKeysAreTheCallersAgain when GetMulti has returned, although the read may go on.
// The race detector sees it if they are not.
func TestKeysAreTheCallersAgain(t *testing.T) {
	ctx := limited(t)
	cluster := raftcachedtest.Start(t, 3, patient)
	leader, err := cluster.Leader(ctx)
	must(t, err)
	stays, first, second := (leader+1)%3, leader, (leader+2)%3
	client := cluster.Client(stays)
	must(t, client.Set(ctx, &raftcached.Item{Key: "a", Value: []byte("1")}))
	must(t, cluster.Stop(first))
	must(t, cluster.Stop(second))

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	keys := []string{"a"}
	if _, err := client.GetMulti(short, keys); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
	}
	answered, changing := make(chan struct{}), sync.WaitGroup{}
	changing.Go(func() {
		for {
			select {
			case <-answered:
				return
			default:
				keys[0] = "b"
				runtime.Gosched()
			}
		}
	})
	must(t, cluster.Restart(ctx, first))
	_, err = client.Get(ctx, "a") // is answered after the read before it
	close(answered)
	changing.Wait()
	must(t, err)
}
