package metrics

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/measure"
	"raftcached/protocol/server/stats"
)

var rewrite = flag.Bool("rewrite", false, "write what is scraped to testdata")

// sample is of a leader of three that knows everything.
func sample() Sample {
	var took, sizes measure.Histogram
	took.AddDuration(3*time.Microsecond, 16)
	took.AddDuration(1500*time.Microsecond, 1)
	took.AddDuration(20*time.Second, 1)
	sizes.AddSize(100, 64)
	var latencies [measure.CommandCount]measure.Distribution
	var once, values measure.Distribution
	latencies[measure.Get].Include(&took)
	once.Include(&took)
	values.Include(&sizes)
	return Sample{
		Version: "1.2.3", Server: 1,
		Serves: &Served{
			Counts: map[string]uint64{
				"get_hits": 10, "get_misses": 2, "cmd_set": 7, "cas_badval": 3, "reads_leased": 8, "reads_waited": 1, "reads_confirmed": 3, "reads_behind_writes": 5,
				"bytes_read": 1000, "bytes_written": 2000, "store_too_large": 1,
			},
			Conns: stats.Connections{Open: 3, Accepted: 5, Refused: 1}, ConnsMax: 1024,
			Cache: stats.State{Items: 6, TotalItems: 7, Bytes: 700, LimitBytes: 64 << 20, Evictions: 1, Reclaimed: 2},
			Role:  "leader", HasLeader: true, LeaderChanges: 2, Term: 5, CommitIndex: 99, Applied: 98, LastLog: 100,
			Verdict: "ok", Refuses: "none", ClusterVersion: 2, ClusterVersionMax: 3, Leases: "all", Lease: true, LeaseHolders: 2,
			Waits: 4, Waited: 1500 * time.Millisecond, WaitedMax: 90 * time.Millisecond, TimeAhead: -7 * time.Second,
			Latencies: latencies, Sync: once, Commit: once, Apply: once, ValueSizes: values, Slow: 2,
			Voters: 3, Majority: 2, Reachable: 2, Servers: []Server{{0, true}, {1, true}, {2, false}},
		},
		TLS: []Port{
			{Name: "client", NotAfter: time.Unix(1800000000, 0), Handshakes: handshake.Tally{Done: 70, Failed: [handshake.ReasonCount]uint64{handshake.Expired: 2, handshake.Refused: 1}}},
			{Name: "log", NotAfter: time.Unix(1900000000, 0), AuthorityNotAfter: time.Unix(2000000000, 0), Handshakes: handshake.Tally{Done: 9}, Reloads: 3, ReloadsFailed: 1},
		},
		Disk: &Disk{Free: 1 << 30, Reserve: 256 << 20, Log: 128 << 20, LogMax: 1 << 30},
	}
}

// scrape returns what a handler tells of raftcached.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	var b strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, namespace+"_") {
			b.WriteString(strings.ReplaceAll(line, runtime.Version(), "GO"))
		}
	}
	if !strings.Contains(w.Body.String(), "go_goroutines") || !strings.Contains(w.Body.String(), "process_resident_memory_bytes") {
		t.Error("the figures of Go and of the process are missing")
	}
	return b.String()
}

// TestMetrics compares all that is told with testdata/metrics.txt.
func TestMetrics(t *testing.T) {
	const file = "testdata/metrics.txt"
	got := scrape(t, Handler(sample))
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is:\n%s", file, got)
	}
}

// TestMetricsOfAStart: a server that does not serve yet tells that, and nothing that it does
// not know.
func TestMetricsOfAStart(t *testing.T) {
	got := scrape(t, Handler(func() Sample { return Sample{Version: "1.2.3", Server: 2} }))
	for _, want := range []string{"raftcached_up 0\n", "raftcached_server_id 2\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	for _, none := range []string{"raftcached_commands_total", "raftcached_disk_free_bytes", "raftcached_raft_term", "raftcached_tls", "raftcached_certificate"} {
		if strings.Contains(got, none) {
			t.Errorf("%q is told:\n%s", none, got)
		}
	}
}

// TestNamesAreOfTheirKind: counters end in _total, and nothing else does, as Prometheus has it.
func TestNamesAreOfTheirKind(t *testing.T) {
	for line := range strings.Lines(scrape(t, Handler(sample))) {
		words := strings.Fields(line)
		if len(words) > 3 && words[1] == "TYPE" && (words[3] == "counter") != strings.HasSuffix(words[2], "_total") {
			t.Errorf("%s is a %s", words[2], words[3])
		}
	}
}
