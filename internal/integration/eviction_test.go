package integration

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestReadsOnAFollowerKeepAnItem fills small caches several times over through one
// server while another server serves reads of a few keys. These keys stay on all
// servers, because read hints travel in the raft log. Keys that nobody reads are
// evicted, and in the end all servers hold the same items.
func TestReadsOnAFollowerKeepAnItem(t *testing.T) {
	const memoryMiB, kept, valueBytes = 8, 20, 10_000
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"memoryLimitMiB": memoryMiB}})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	writer, reader := clientOf(t, leader), clientOf(t, followersOf(c, leader)[0])
	value := make([]byte, valueBytes)
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			must(t, writer.Set(&memcache.Item{Key: fmt.Sprintf("fill-%d", i), Value: value}))
		}
	}
	const whole = memoryMiB << 20 / valueBytes
	fill(0, whole) // from here on servers send hints
	for i := range kept {
		must(t, writer.Set(&memcache.Item{Key: fmt.Sprintf("read-%d", i), Value: value}))
		must(t, writer.Set(&memcache.Item{Key: fmt.Sprintf("unread-%d", i), Value: value}))
	}
	for n := range 30 {
		fill(whole+n*whole/10, whole+(n+1)*whole/10)
		for i := range kept {
			_, err := reader.Get(fmt.Sprintf("read-%d", i))
			must(t, err)
		}
	}
	must(t, c.AwaitEqual(ctx))
	for _, client := range clientsOf(t, c) {
		for i := range kept {
			if _, err := client.Get(fmt.Sprintf("read-%d", i)); err != nil {
				t.Errorf("an item that was read all the time: %v", err)
			}
			if _, err := client.Get(fmt.Sprintf("unread-%d", i)); !errors.Is(err, memcache.ErrCacheMiss) {
				t.Errorf("an item that nobody read is still there: %v", err)
			}
		}
	}
}
