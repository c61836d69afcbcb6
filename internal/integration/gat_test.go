package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestGatsOfMissingKeysCostWhatGetsCost: nothing enters the raft log for them, at the
// leader and at a follower, with leases or without. What is there is touched, through the
// log.
func TestGatsOfMissingKeysCostWhatGetsCost(t *testing.T) {
	t.Parallel()
	// memcached ends connections whose lines are longer, but for those of get and gets.
	const keysOfLine = 50
	missing := make([]string, 60)
	for i := range missing {
		missing[i] = "gat 100"
		for j := range keysOfLine {
			missing[i] += fmt.Sprint(" missing-", i*keysOfLine+j)
		}
	}
	for _, leases := range []string{"off", "all"} {
		t.Run("leases "+leases, func(t *testing.T) {
			ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"leases": leases}})
			leader, err := c.AwaitLeader(ctx)
			must(t, err)
			must(t, clientOf(t, leader).Set(&memcache.Item{Key: "here", Value: []byte("v")}))
			must(t, c.AwaitEqual(ctx))
			applied := func() uint64 {
				stats, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
				must(t, err)
				return stats.Applied
			}
			for _, s := range c.Servers {
				client := testclient.Dial(t, s.ClientAddr)
				before := applied()
				for _, line := range missing {
					client.Send(line)
					client.Expect("END")
				}
				if after := applied(); after > before+1 { // a comparison of states may have come
					t.Errorf("server %d: the log has grown by %d entries", s.ID, after-before)
				}
				client.Send("gat 1000 missing here missing")
				client.Expect("VALUE here 0 1", "v", "END")
				if left := client.Ask("mg here t"); !strings.HasPrefix(left, "HD t9") && left != "HD t1000" {
					t.Errorf("server %d: %q is left to live, want 1000 s", s.ID, left)
				}
				client.Send("gat 0 here", "mg here t")
				client.Expect("VALUE here 0 1", "v", "END", "HD t-1")
			}
		})
	}
}
