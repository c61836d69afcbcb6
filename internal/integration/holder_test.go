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

// holders are the ways in which a holder dies, and comes back.
var holders = map[string]struct{ die, comeBack func(*cluster.Server) error }{
	"kill -9": {(*cluster.Server).Kill, (*cluster.Server).Start},
	"SIGSTOP": {(*cluster.Server).Pause, (*cluster.Server).Resume},
}

// TestHolderThatDies: followers answer reads under leases, and show what was just written
// elsewhere. One that is stopped dead, or stands still, delays the writes that follow
// once, and shows nothing old when it goes on.
func TestHolderThatDies(t *testing.T) {
	t.Parallel()
	for name, way := range holders {
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
			must(t, cluster.Await(ctx, func() error {
				leader, holder := leaderAndOther(ctx, t, c)
				awaitHolder(ctx, t, testclient.Dial(t, holder.ClientAddr))
				must(t, way.die(holder))
				waits := holderWaits(t, leader)
				must(t, way.comeBack(holder))
				must(t, c.AwaitReady(ctx))
				reader := testclient.Dial(t, holder.ClientAddr)
				reader.Send("get k")
				reader.Expect("VALUE k 0 3", "new", "END")
				if waits == 0 { // the machine was busy until the lease had ended
					return fmt.Errorf("no write has waited for server %d", holder.ID)
				}
				return nil
			}))
		})
	}
}

// waitMax is what a write may have waited for a holder on a busy machine: 150 ms are
// allowed on one that is not.
const waitMax = 5 * time.Second

// holderWaits writes at a leader, and returns how many of the writes waited for a holder.
func holderWaits(t *testing.T, leader *cluster.Server) int {
	t.Helper()
	at := testclient.Dial(t, leader.ClientAddr)
	before := statOf(t, at.Stats("raft"), "lease_waits")
	for range 20 {
		at.Send("set k 0 0 3", "new")
		at.Expect("STORED")
	}
	stats := at.Stats("raft")
	longest := time.Duration(statOf(t, stats, "lease_wait_max_us")) * time.Microsecond
	if longest > waitMax {
		t.Errorf("a write has waited for a holder for %v", longest)
	}
	return statOf(t, stats, "lease_waits") - before
}

// leaderAndOther returns the server that leads and one that does not.
func leaderAndOther(ctx context.Context, t *testing.T, c *cluster.Cluster) (leader, other *cluster.Server) {
	t.Helper()
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	return leader, followersOf(c, leader)[0]
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
