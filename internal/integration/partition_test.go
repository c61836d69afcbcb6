package integration

import (
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestIsolatedLeader cuts the leader off. The others elect another leader and serve.
// The isolated one returns nothing stale, and catches up when the links are mended.
func TestIsolatedLeader(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Network: true, Settings: impatient()})
	old, err := c.AwaitLeader(ctx)
	must(t, err)
	clients := clientsOf(t, c)
	setUntilStored(t, clients[old.ID], "k", "before")

	c.Isolate(old.ID)
	other := followersOf(c, old)[0]
	setUntilStored(t, clients[other.ID], "k", "after")
	if item, err := clients[old.ID].Get("k"); err == nil {
		t.Errorf("the isolated leader answers %q, want an error", item.Value)
	}
	if err := clients[old.ID].Set(&memcache.Item{Key: "k", Value: []byte("lost")}); !isServerError(err) {
		t.Errorf("set at the isolated leader: %v, want SERVER_ERROR", err)
	}

	c.Mend()
	must(t, c.AwaitReady(ctx))
	must(t, c.AwaitEqual(ctx))
	// The set at the isolated leader was given up; it must not reappear.
	wantEverywhere(t, clients, "k", "after")
}

// TestPausedLeader stops the leader's process for longer than an election. When it
// continues, it believes for a moment that it still leads, and must not return its
// stale value.
func TestPausedLeader(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	clients := clientsOf(t, c)
	for range 3 {
		old, err := c.AwaitLeader(ctx)
		must(t, err)
		must(t, clients[old.ID].Set(&memcache.Item{Key: "k", Value: []byte("before")}))
		must(t, old.Pause())
		setUntilStored(t, clients[followersOf(c, old)[0].ID], "k", "after")
		must(t, old.Resume())
		item, err := clients[old.ID].Get("k")
		if err == nil && string(item.Value) != "after" {
			t.Errorf("the leader of before answers %q, want %q or an error", item.Value, "after")
		}
		must(t, c.AwaitReady(ctx))
	}
	must(t, c.AwaitEqual(ctx))
}

// TestPartitionsUnderLoad isolates one server after the other under load.
func TestPartitionsUnderLoad(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Network: true, Settings: impatient()})
	l := startLoad(t, c, 2)
	defer l.finish()
	for _, s := range c.Servers {
		l.awaitProgress(t, 200)
		c.Isolate(s.ID)
		l.awaitProgress(t, 200)
		c.Mend()
		must(t, c.AwaitReady(ctx))
	}
	l.awaitProgress(t, 200)
	l.finish()
	must(t, c.AwaitEqual(ctx))
	for _, client := range clientsOf(t, c) {
		l.check(t, client)
	}
}

// setUntilStored sets a key that nobody else sets meanwhile.
func setUntilStored(t *testing.T, client *memcache.Client, key, value string) {
	t.Helper()
	deadline := time.Now().Add(testLimit)
	for {
		err := client.Set(&memcache.Item{Key: key, Value: []byte(value)})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("set %q: %v", key, err)
		}
	}
}
