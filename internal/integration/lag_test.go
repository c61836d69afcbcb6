package integration

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// lagMB is how much TestFollowerThatLags stores while a server is stopped. `make lag` has
// it store 400 MB.
var lagMB = flag.Int("lag.mb", 60, "how many MB TestFollowerThatLags stores while a server is stopped")

// TestFollowerThatLags stops a follower as SIGSTOP does, stores values of 100 KB through
// another server, and lets it go on. It catches up by the log, most of which is on the
// leader's disk only by then. Meanwhile the leader goes on leading and storing, and
// takes no more memory than it may.
func TestFollowerThatLags(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 2048}})
	lags, leader, _ := victimOf(ctx, t, c)
	w := cluster.NewWriter([]string{leader.ClientAddr}, 0)
	defer w.Close()
	before, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)

	must(t, lags.Pause())
	alone := latencies(t, w, func() bool { return false })
	value := strings.Repeat("v", 100_000)
	for i := range *lagMB * 10 {
		must(t, w.Set(fmt.Sprintf("large-%d", i%400), value))
	}
	must(t, lags.Resume())
	beside := latencies(t, w, func() bool {
		stats, err := cluster.AskRaftStats(ctx, lags.ClientAddr)
		now, err2 := cluster.AskRaftStats(ctx, leader.ClientAddr)
		return err != nil || err2 != nil || stats.Applied+100 < now.Applied
	})
	must(t, c.AwaitEqual(ctx))
	after, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)
	if after.Term != before.Term || after.LeaderID != leader.ID {
		t.Errorf("server %d leads in term %d; server %d led in term %d", after.LeaderID, after.Term, leader.ID, before.Term)
	}
	wantBound(ctx, t, c, stalledBytesMax, 0)
	t.Logf("a set takes %v, 99th percentile %v; while a server catches up %v and %v, for %v",
		at(alone, 50), at(alone, 99), at(beside, 50), at(beside, 99), total(beside))
}

// latencies stores a small value again and again, at least 200 times and as long as it
// is asked to go on, and returns how long each took, the shortest first.
func latencies(t *testing.T, w *cluster.Writer, goOn func() bool) (took []time.Duration) {
	t.Helper()
	for i := 0; i < 200 || i%50 != 0 || goOn(); i++ {
		begun := time.Now()
		must(t, w.Set("k", fmt.Sprint(i)))
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took
}

// at returns a percentile.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100].Round(time.Microsecond)
}

func total(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return sum.Round(time.Millisecond)
}
