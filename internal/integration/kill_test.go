package integration

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestKillUnderLoad kills the leader and a follower again and again while
// clients write through all servers. In the end every acknowledged
// write exists, no increment counted twice, and all servers have the same state.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	const rounds, progress = 3, 300
	ctx, c := startCluster(t, cluster.Options{})
	l := startLoad(t, c, 2)
	defer l.finish()
	for range rounds {
		leader, err := c.AwaitLeader(ctx)
		must(t, err)
		for _, victim := range []*cluster.Server{leader, followersOf(c, leader)[0]} {
			l.awaitProgress(t, progress)
			must(t, victim.Kill())
			l.awaitProgress(t, progress)
			must(t, victim.Start())
			must(t, victim.AwaitReady(ctx))
		}
	}
	l.awaitProgress(t, progress)
	l.finish()
	must(t, c.AwaitEqual(ctx))
	for _, client := range clientsOf(t, c) {
		l.check(t, client)
	}
}

// TestAllKilled kills all servers at the same moment, twice: what was
// acknowledged is on the disks.
func TestAllKilled(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	l := startLoad(t, c, 2)
	defer l.finish()
	for range 2 {
		l.awaitProgress(t, 300)
		for _, s := range c.Servers {
			must(t, s.Kill())
		}
		for _, s := range c.Servers {
			must(t, s.Start())
		}
		must(t, c.AwaitReady(ctx))
	}
	l.awaitProgress(t, 300)
	l.finish()
	must(t, c.AwaitEqual(ctx))
	for _, client := range clientsOf(t, c) {
		l.check(t, client)
	}
}

// TestSnapshotCatchUp keeps a server down until the others have dropped the part of
// the raft log that it misses: it catches up by a snapshot.
func TestSnapshotCatchUp(t *testing.T) {
	t.Parallel()
	const writes, valueBytes = 1000, 20 << 10 // 20 MiB for 1 MiB of retained raft log
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 1, "electionTicks": 100}})
	clients := clientsOf(t, c)
	must(t, clients[0].Set(&memcache.Item{Key: "early", Value: []byte("x")}))
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	victim := followersOf(c, leader)[0]
	must(t, victim.Kill())
	for i := range writes {
		must(t, clients[leader.ID].Set(&memcache.Item{
			Key: fmt.Sprintf("key-%d", i%20), Value: bytes.Repeat([]byte{byte(i)}, valueBytes),
		}))
	}
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	must(t, clients[leader.ID].Set(&memcache.Item{Key: "late", Value: []byte("y")}))
	must(t, c.AwaitEqual(ctx))
	client := clientOf(t, victim)
	for key, want := range map[string]string{"early": "x", "late": "y"} {
		if item, err := client.Get(key); err != nil || string(item.Value) != want {
			t.Errorf("get %q: %v, want %q", key, err, want)
		}
	}

	awaitLine(t, leader, fmt.Sprintf(`level=INFO msg="sent a snapshot" server=%d index=\d+`, victim.ID))
	awaitLine(t, victim, fmt.Sprintf(`level=INFO msg="received a snapshot" server=%d index=\d+ MiB=\d+`, leader.ID))
	awaitLine(t, victim, `level=INFO msg="replaced the state by a snapshot" index=\d+`)
	awaitLine(t, leader, `level=INFO msg="took a snapshot" index=\d+ KiB=\d+ took=`)

	// And what it received is on its disk.
	must(t, victim.Kill())
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	must(t, c.AwaitEqual(ctx))
}

// TestMajorityDown: a lone survivor answers SERVER_ERROR in time, to writes and
// to reads that need the others, and serves again with the majority.
func TestMajorityDown(t *testing.T) {
	t.Parallel()
	const requestTimeout, slack = 2 * time.Second, 15 * time.Second // a busy machine adds some
	for _, reads := range []string{"linearizable", "local"} {
		t.Run(reads, func(t *testing.T) {
			t.Parallel()
			ctx, c := startCluster(t, cluster.Options{Args: []string{"-reads", reads}, Settings: impatient()})
			survivor := clientOf(t, c.Servers[1])
			setUntilStored(t, survivor, "k", "before")
			must(t, c.AwaitEqual(ctx)) // local reads show it
			must(t, c.Servers[0].Kill())
			must(t, c.Servers[2].Kill())

			start := time.Now()
			err := survivor.Set(&memcache.Item{Key: "k", Value: []byte("during")})
			if took := time.Since(start); !isServerError(err) || took > requestTimeout+slack {
				t.Errorf("set gives %v after %v, want SERVER_ERROR within %v", err, took, requestTimeout)
			}
			start = time.Now()
			item, err := survivor.Get("k")
			took := time.Since(start)
			switch {
			case took > requestTimeout+slack:
				t.Errorf("get took %v, want at most %v", took, requestTimeout)
			case reads == "linearizable" && !isServerError(err):
				t.Errorf("get gives %v, want SERVER_ERROR", err)
			case reads == "local" && (err != nil || string(item.Value) != "before"):
				t.Errorf("local get gives %v, %v; want what it has", item, err)
			}

			must(t, c.Servers[0].Start())
			must(t, c.AwaitServing(ctx, 0, 1))
			setUntilStored(t, survivor, "k", "after")
			must(t, c.Servers[2].Start())
			must(t, c.AwaitReady(ctx))
			must(t, c.AwaitEqual(ctx))
			wantEverywhere(t, clientsOf(t, c), "k", "after")
		})
	}
}
