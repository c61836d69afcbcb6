package integration

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestTimesToLive: at each server, while nobody writes, an item is there until its time is
// over, and then it is not; and a client is told how long it has left.
func TestTimesToLive(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 3} {
		t.Run(strconv.Itoa(servers), func(t *testing.T) {
			t.Parallel()
			ctx, c := startCluster(t, cluster.Options{Servers: servers})
			if servers > 1 {
				_, err := c.AwaitLeader(ctx)
				must(t, err)
			}
			var wg sync.WaitGroup
			for i, s := range c.Servers {
				wg.Go(func() { timesToLive(t, testclient.Dial(t, s.ClientAddr), i) })
			}
			wg.Wait()
		})
	}
}

// timesToLive measures them at one server. A life begins between when it was asked for and
// when the answer has come.
func timesToLive(t *testing.T, c *testclient.Client, server int) {
	brief, long := fmt.Sprint("brief-", server), fmt.Sprint("long-", server)
	asked := time.Now()
	if got := c.Ask("set "+brief+" 0 1 1", "x"); got != "STORED" {
		t.Errorf("set: %q", got)
		return
	}
	if got := c.Ask("set "+long+" 0 100 1", "x"); got != "STORED" {
		t.Errorf("set: %q", got)
		return
	}
	stored := time.Now()
	if got := c.Ask("mg " + brief); got != "HD" && time.Since(asked) < time.Second {
		t.Errorf("server %d: %q before a second has passed", server, got)
	}
	<-time.After(time.Until(stored.Add(1020 * time.Millisecond)))
	if got := c.Ask("mg " + brief); got != "EN" {
		t.Errorf("server %d: %q after %v, of an item that was to live a second", server, got, time.Since(stored))
	}
	before := time.Since(stored)
	got := c.Ask("mg " + long + " t")
	left, err := strconv.ParseFloat(strings.TrimPrefix(got, "HD t"), 64)
	if most := 101 - before.Seconds(); err != nil || left > most || left < 100-time.Since(asked).Seconds() {
		t.Errorf("server %d: %q after %v, of an item that was to live 100 seconds", server, got, before)
	}
	if got := c.Ask("mg " + long + " R100"); got != "HD W" {
		t.Errorf("server %d: %q, of an item with less than 100 seconds left", server, got)
	}
}
