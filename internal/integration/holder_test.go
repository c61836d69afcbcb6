package integration

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestHolderThatDies: followers answer reads under leases, and show what was just written
// elsewhere. One that is stopped dead, or stands still, delays the writes that follow
// once, and shows nothing old when it goes on.
func TestHolderThatDies(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(*cluster.Server) error{"kill -9": (*cluster.Server).Kill, "SIGSTOP": (*cluster.Server).Pause} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"leases": "all"}})
			leader, holder := leaderAndOther(ctx, t, c)
			at, reader := testclient.Dial(t, leader.ClientAddr), testclient.Dial(t, holder.ClientAddr)
			for i := range 200 {
				at.Send(fmt.Sprintf("set k 0 0 %d", len(strconv.Itoa(i))), strconv.Itoa(i))
				at.Expect("STORED")
				reader.Send("get k")
				reader.Expect(fmt.Sprintf("VALUE k 0 %d", len(strconv.Itoa(i))), strconv.Itoa(i), "END")
			}
			if leased, waited := readsByLease(t, reader); leased+waited == 0 {
				t.Fatal("no read was answered by a lease")
			}
			awaitHolder(ctx, t, reader)
			must(t, die(holder))
			begun := time.Now()
			for i := range 20 {
				at.Send("set k 0 0 3", "new")
				at.Expect("STORED")
				if took := time.Since(begun); i == 0 {
					t.Logf("the first write took %v", took)
				}
			}
			// What a busy machine adds is not the lease's: the leader measures that.
			stats := at.Stats("raft")
			if waits, longest := statOf(t, stats, "lease_waits"), statOf(t, stats, "lease_wait_max_us"); waits == 0 || longest > 150_000 {
				t.Errorf("writes have waited %d times, %d µs at most, want 150 ms at most", waits, longest)
			}
			if name == "SIGSTOP" {
				must(t, holder.Resume())
				reader.Send("get k")
				reader.Expect("VALUE k 0 3", "new", "END")
			}
		})
	}
}

// leaderAndOther returns the server that leads and one that does not.
func leaderAndOther(ctx context.Context, t *testing.T, c *cluster.Cluster) (leader, other *cluster.Server) {
	t.Helper()
	stats, err := cluster.AskRaftStats(ctx, c.Servers[0].ClientAddr)
	must(t, err)
	return c.Servers[stats.LeaderID], c.Servers[(stats.LeaderID+1)%len(c.Servers)]
}

// readsByLease returns how many reads a server has answered by a lease, at once and after
// a change was applied.
func readsByLease(t *testing.T, c *testclient.Client) (leased, waited int) {
	t.Helper()
	stats := c.Stats("")
	return statOf(t, stats, "reads_leased"), statOf(t, stats, "reads_waited")
}

// awaitHolder reads at a server until it has a lease.
func awaitHolder(ctx context.Context, t *testing.T, c *testclient.Client) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		c.Send("get none")
		c.Expect("END")
		if c.Stats("raft")["lease"] != "yes" {
			return fmt.Errorf("it has no lease")
		}
		return nil
	}))
}

func statOf(t *testing.T, stats map[string]string, name string) int {
	t.Helper()
	n, err := strconv.Atoi(stats[name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
