package integration

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"raftcached/internal/cluster"
)

var (
	historiesRuns       = flag.Int("histories.runs", 1, "histories that TestHistories records")
	historiesClusters   = flag.Int("histories.clusters", 1, "clusters that it records them of at a time")
	historiesOperations = flag.Int("histories.operations", 400, "operations of each of them, at least")
	historiesTrouble    = flag.Duration("histories.trouble", time.Second, "how long a trouble may last")
	historiesKeep       = flag.String("histories.keep", "", "where a history that nothing explains is kept, with logs and data folders")
)

const (
	// historiesPerCluster is how many histories one cluster lives through.
	historiesPerCluster = 40

	// historyPace is the time between two operations of one client: 2,000 operations of
	// six clients take two to three seconds, and some troubles.
	historyPace = 8 * time.Millisecond

	// historyKeys is how many keys a history has. With four, one with 19 unknown outcomes
	// took the checker two minutes.
	historyKeys = 8

	// historyMax bounds one history. The longest troubles, and changes of members, are in it.
	historyMax = 8 * time.Minute
)

// TestHistories lets clients at all servers read, and set, append and delete, while every
// server may answer reads by itself. Servers are killed, stopped and cut off, one way
// too, alone or two at a time; leadership moves; servers are added, replaced and removed.
// porcupine then checks the history. A cluster lives through many of them, one after the
// other, each with keys of its own.
func TestHistories(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	totals := &historyTotals{troubles: map[string]int{}}
	var wait sync.WaitGroup
	for range *historiesClusters {
		wait.Go(func() {
			for run := begun.Add(1); run <= int64(*historiesRuns); run = begun.Add(1) {
				t.Run(fmt.Sprintf("from %d", run), func(t *testing.T) {
					l := newLasting(t, totals, map[string]any{"leases": "all"})
					l.run(t, run)
					for n := 1; n < historiesPerCluster && !t.Failed(); n++ {
						if run = begun.Add(1); run > int64(*historiesRuns) {
							return
						}
						l.run(t, run)
					}
					totals.report(t)
				})
			}
		})
	}
	wait.Wait()
	totals.report(t)
	if leased, all := totals.leased+totals.waited, totals.leased+totals.waited+totals.confirmed; leased < all/leasedAtLeast {
		t.Errorf("%d of %d reads were answered by leases, want one of %d", leased, all, leasedAtLeast)
	}
}

// leasedAtLeast is of how many reads one is answered by a lease. Usually two of three are;
// one history may have met much trouble.
const leasedAtLeast = 10

// TestHistoriesFindStaleReads: servers that answer reads without the others show old
// values, and that is found.
func TestHistoriesFindStaleReads(t *testing.T) {
	t.Parallel()
	totals := &historyTotals{troubles: map[string]int{}}
	l := newLasting(t, totals, map[string]any{"reads": "local"})
	must(t, cluster.Await(t.Context(), func() error {
		if h := l.record(t, int64(totals.histories)); h.judge() != porcupine.Illegal {
			return fmt.Errorf("%d operations were explained", len(h.operations))
		}
		return nil
	}))
	totals.report(t)
}

// run records a history, and has it checked.
func (l *lasting) run(t *testing.T, run int64) {
	begun := time.Now()
	h := l.record(t, run)
	recorded := time.Now()
	result := h.judge()
	t.Logf("history %d: %d operations, %d of unknown outcome, in %v, checked in %v", run, len(h.operations), h.unknown(),
		recorded.Sub(begun).Round(time.Millisecond), time.Since(recorded).Round(time.Millisecond))
	if result != porcupine.Ok {
		t.Errorf("history %d, of %d operations: %s, want an order that explains it", run, len(h.operations), result)
		l.keep(t, h, run)
	}
}

// record records a history of a cluster in trouble.
func (l *lasting) record(t *testing.T, run int64) *history {
	t.Helper()
	h := &history{start: time.Now(), seed: rand.Uint64(), name: strconv.FormatInt(run, 10) + "-", keys: historyKeys, pace: historyPace}
	stop := h.driveAll(t, slices.Repeat(l.addrs(), 2))
	defer stop()
	ctx, cancel := l.within(historyMax)
	defer cancel()
	for h.count() < *historiesOperations {
		h.awaitOperations(t, 50+l.random.IntN(200))
		l.sample(ctx, t)
		what := l.disturb(ctx, t)
		l.totals.add(func() { l.totals.troubles[what]++ })
		must(t, l.awaitServing(ctx))
	}
	h.awaitOperations(t, 50)
	l.sample(ctx, t)
	stop()
	l.totals.add(func() {
		l.totals.histories++
		l.totals.operations += len(h.operations)
		l.totals.unknown += h.unknown()
	})
	return h
}

// keep copies a history and what its cluster has written to where somebody looks at it.
func (l *lasting) keep(t *testing.T, h *history, run int64) {
	if *historiesKeep == "" {
		return
	}
	dir := filepath.Join(*historiesKeep, strconv.FormatInt(run, 10))
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.CopyFS(filepath.Join(dir, "cluster"), os.DirFS(filepath.Dir(l.c.Config))))
	var text []byte
	for _, op := range h.operations {
		text = fmt.Appendf(text, "%v %v client %d: %+v -> %+v\n", time.Duration(op.Call), time.Duration(op.Return), op.ClientId, op.Input, op.Output)
	}
	must(t, os.WriteFile(filepath.Join(dir, "history.txt"), fmt.Appendf(text, "began %v\n", h.start), 0o644))
	result, info := porcupine.CheckOperationsVerbose(cacheModel, h.observable(), time.Minute)
	must(t, porcupine.VisualizePath(cacheModel, info, filepath.Join(dir, "history.html")))
	t.Logf("%s: kept in %s", result, dir)
}

// historyTotals are what all histories have met.
type historyTotals struct {
	mu                        sync.Mutex
	histories, operations     int
	unknown                   int // outcomes
	leased, waited, confirmed int // reads, by how they were answered
	behind                    int // reads, behind writes of their connection
	troubles                  map[string]int
}

func (s *historyTotals) add(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *historyTotals) report(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("%d histories, %d operations, %d of unknown outcome; reads by leases: %d at once, %d after a change; %d confirmed by a majority, %d behind writes",
		s.histories, s.operations, s.unknown, s.leased, s.waited, s.confirmed, s.behind)
	for _, what := range slices.Sorted(maps.Keys(s.troubles)) {
		t.Logf("%5d x %s", s.troubles[what], what)
	}
}
