package integration

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

var (
	historiesRuns       = flag.Int("histories.runs", 1, "histories that TestHistories records")
	historiesOperations = flag.Int("histories.operations", 400, "operations of each of them")
	historiesTrouble    = flag.Duration("histories.trouble", time.Second, "how long a trouble may last")
)

// TestHistories lets clients at all servers read, and set, append and delete, while every
// server may answer reads by itself. Servers are killed, stopped and cut off, one way
// too, alone or two at a time. porcupine then checks the history.
func TestHistories(t *testing.T) {
	t.Parallel()
	for run := range *historiesRuns {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			ctx, c := startCluster(t, cluster.Options{Network: true, Settings: map[string]any{"leases": "all"}})
			h := &history{start: time.Now(), seed: rand.Uint64()}
			t.Logf("seed %d", h.seed)
			stop := h.driveAll(t, slices.Repeat(c.ClientAddrs(), 2))
			defer stop()
			random := rand.New(rand.NewPCG(h.seed, 1<<32))
			leased := 0
			for done := 0; done < *historiesOperations; done += 200 {
				h.awaitOperations(t, 150)
				leased += readsLeased(ctx, t, c)
				disturb(ctx, t, c, random)
				must(t, c.AwaitReady(ctx))
				h.awaitOperations(t, 50)
			}
			stop()
			h.check(t)
			if t.Logf("%d reads by leases, as of each trouble", leased); leased == 0 {
				t.Error("no read was answered by a lease")
			}
		})
	}
}

// readsLeased returns how many reads the servers have answered by leases since they run.
func readsLeased(ctx context.Context, t *testing.T, c *cluster.Cluster) (count int) {
	t.Helper()
	for _, s := range c.Servers {
		stats, err := cluster.Stats(ctx, s.ClientAddr, "")
		must(t, err)
		count += statOf(t, stats, "reads_leased") + statOf(t, stats, "reads_waited")
	}
	return count
}

// troubles are what disturb does to a server, and how it is undone.
var troubles = []struct {
	name       string
	begin, end func(c *cluster.Cluster, s *cluster.Server) error
}{
	{
		"kill", func(_ *cluster.Cluster, s *cluster.Server) error { return s.Kill() },
		func(_ *cluster.Cluster, s *cluster.Server) error { return s.Start() },
	},
	{
		"stop", func(_ *cluster.Cluster, s *cluster.Server) error { return s.Pause() },
		func(_ *cluster.Cluster, s *cluster.Server) error { return s.Resume() },
	},
	{"isolate", func(c *cluster.Cluster, s *cluster.Server) error { c.Isolate(s.ID); return nil }, mended},
	{"lose what it sends", func(c *cluster.Cluster, s *cluster.Server) error {
		for _, other := range followersOf(c, s) {
			c.Cut(s.ID, other.ID)
		}
		return nil
	}, mended},
	{"lose what it is sent", func(c *cluster.Cluster, s *cluster.Server) error {
		for _, other := range followersOf(c, s) {
			c.Cut(other.ID, s.ID)
		}
		return nil
	}, mended},
	{"lose one link", func(c *cluster.Cluster, s *cluster.Server) error {
		other := followersOf(c, s)[0]
		c.Cut(s.ID, other.ID)
		c.Cut(other.ID, s.ID)
		return nil
	}, mended},
}

func mended(c *cluster.Cluster, _ *cluster.Server) error {
	c.Mend()
	return nil
}

// disturb troubles the leader, another server or both for 0.1 s to -histories.trouble,
// which it comes close to in one of four times.
func disturb(ctx context.Context, t *testing.T, c *cluster.Cluster, random *rand.Rand) {
	t.Helper()
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	victims := []*cluster.Server{leader, followersOf(c, leader)[random.IntN(len(c.Servers)-1)]}
	switch random.IntN(4) {
	case 0:
		victims = victims[1:]
	case 1, 2:
		victims = victims[:1]
	}
	const shortest = 100 * time.Millisecond
	longest := min(*historiesTrouble, []time.Duration{300 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second}[random.IntN(4)])
	d := shortest + time.Duration(random.Int64N(int64(longest-shortest)))
	what := &troubles[random.IntN(len(troubles))]
	t.Logf("server %d leads; %s server %d, and %d more, for %v", leader.ID, what.name, victims[0].ID, len(victims)-1, d)
	for _, v := range victims {
		must(t, what.begin(c, v))
	}
	lasts := time.NewTimer(d) // that is what was drawn: nothing is awaited
	defer lasts.Stop()
	select {
	case <-lasts.C:
	case <-ctx.Done():
	}
	for _, v := range victims {
		must(t, what.end(c, v))
	}
}
