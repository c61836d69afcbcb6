package node

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/certificates"
	"raftcached/internal/certnames"
	"raftcached/internal/measure"
	"raftcached/internal/page"
)

// What the figures of the admin port have at most.
const (
	figureKeysMax = 8
	figureSlowMax = 5
)

// writeCounts are the counts of plain stats that make up the writes of clients.
var writeCounts = []string{
	"cmd_set", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses", "touch_hits", "touch_misses", "cmd_flush",
}

// Figures implements admin.Node.
func (n adminNode) Figures() *admin.Figures {
	if n.life.stage.Load() < stageServing {
		return nil
	}
	counts, conns := n.front.Counts()
	f := &admin.Figures{
		Hits: counts["get_hits"], Reads: counts["get_hits"] + counts["get_misses"], Evictions: uint64(n.engine.Stats().Evictions),
		Connections: uint64(conns.Open), Elections: n.narrator.leadersSince(time.Now().Add(-time.Hour)), Events: n.events.list(),
	}
	for _, name := range writeCounts {
		f.Writes += counts[name]
	}
	measured, timings := n.front.Measured(), n.replica.Timings()
	var commit, sync measure.Distribution
	commit.Include(&timings.Commit)
	sync.Include(&timings.Sync)
	f.Commit, f.Sync = latencyOf(&commit), latencyOf(&sync)
	f.ReadLatency, f.WriteLatency = latencyOf(&measured.Latencies[measure.Get]), latencyOf(&measured.Latencies[measure.Get+1])
	for c := measure.Get + 2; c < measure.CommandCount; c++ {
		l := latencyOf(&measured.Latencies[c])
		for i := range l.Counts {
			f.WriteLatency.Counts[i] += l.Counts[i]
		}
	}
	hot, slow := n.HotKeys().Keys, n.Slow().Commands
	f.HotKeys, f.Slow = hot[:min(len(hot), figureKeysMax)], slow[:min(len(slow), figureSlowMax)]
	return f
}

// latencyOf is a distribution as the admin port tells it.
func latencyOf(d *measure.Distribution) (l admin.Latency) {
	_, upTo := d.Seconds()
	before := uint64(0)
	for _, bound := range slices.Sorted(maps.Keys(upTo)) {
		l.UpToSeconds = append(l.UpToSeconds, bound)
		l.Counts = append(l.Counts, upTo[bound]-before)
		before = upTo[bound]
	}
	l.Counts = append(l.Counts, d.Count()-before)
	return l
}

// Page implements admin.Node.
func (n adminNode) Page() http.Handler { return n.page }

// newPage returns the page of the admin port, which looks at the other servers as this one
// may: with its certificate, if it has one.
func (n *Node) newPage() *page.Page {
	return page.New(page.Config{
		Own: func(ctx context.Context) *admin.Status {
			s := adminNode{n}.Status(ctx)
			s.Figures = adminNode{n}.Figures()
			return &s
		},
		NewClient: func() *admin.Client {
			keys := n.keys.Load()
			if keys == nil {
				return new(admin.Client)
			}
			cfg := keys.Client(certificates.ClientOptions{})
			certnames.VerifyServer(cfg)
			return &admin.Client{TLS: cfg}
		},
	})
}
