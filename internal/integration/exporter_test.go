package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

const exporterPackage = "github.com/prometheus/memcached_exporter/cmd/memcached_exporter"

// absentMetrics lists what Prometheus' exporter reports for memcached and not for this
// server. A star stands for the rest of a name.
var absentMetrics = []struct{ names, reason string }{
	{"memcached_lru_crawler_*", "there is no crawler, and no LRU"},
	{"memcached_direct_reclaims_total memcached_slab_lru_hits_total memcached_slab_items_moves_*", "there is no LRU"},
	{"memcached_slab_hot_* memcached_slab_warm_* memcached_slab_cold_*", "there is no LRU"},
	{"memcached_slab_items_evicted_nonzero_total", "eviction does not look at expiry"},
	{"memcached_slab_items_crawler_reclaimed_total", "there is no crawler"},
}

// TestPrometheusExporter lets Prometheus' memcached_exporter scrape this server and
// memcached: it reports both as up, with the same metrics.
func TestPrometheusExporter(t *testing.T) {
	ctx, server, memcached := startBoth(t)
	exporter := startExporter(ctx, t)
	ours, theirs := scrape(ctx, t, exporter, server.ClientAddr), scrape(ctx, t, exporter, memcached.Addr)
	for _, metrics := range []map[string]string{ours, theirs} {
		if metrics["memcached_up"] != "1" {
			t.Errorf("memcached_up is %q", metrics["memcached_up"])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		_, have := ours[name]
		switch reason := absentMetric(name); {
		case !have && reason == "":
			t.Errorf("%s has %s, this server has not and absentMetrics has no reason", memcached.Version, name)
		case have && reason != "":
			t.Errorf("%s is absent because %s, but this server has it", name, reason)
		}
	}
	for name, want := range map[string]string{
		"memcached_current_items":                              "1",
		"memcached_limit_bytes":                                "6.7108864e+07",
		"memcached_max_connections":                            "1024",
		`memcached_commands_total{command="get",status="hit"}`: "1",
		`memcached_commands_total{command="set",status="hit"}`: "1",
		`memcached_slab_current_items{slab="1"}`:               "1",
		`memcached_slab_chunks_used{slab="1"}`:                 "1",
	} {
		if ours[name] != want {
			t.Errorf("%s is %q, want %q", name, ours[name], want)
		}
	}
}

// moves are the metrics that a scrape through the client port changes itself.
var moves = []string{"read_bytes_total", "written_bytes_total", "current_connections", "connections_total"}

// TestMetricsAgree: what a server tells Prometheus at its admin port, and what memcached_exporter
// tells of it, agree in each figure that both have, under the same labels.
func TestMetricsAgree(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	client := testclient.Dial(t, leader.ClientAddr)
	client.Send("set a 0 0 1", "1", "incr a 1", "get a", "get none", "delete none", "touch a 0", "gets a", "cas a 0 0 1 1", "x", "flush_all", "mg a v", "get a", "set b 0 0 1", "1")
	client.Expect("STORED", "2", "VALUE a 0 1", "2", "END", "END", "NOT_FOUND", "TOUCHED")
	if line := client.ReadLine(); !strings.HasPrefix(line, "VALUE a 0 1 ") {
		t.Fatal(line)
	}
	client.Expect("2", "END", "EXISTS", "OK", "EN", "END", "STORED")
	exporter := startExporter(ctx, t)
	theirs := scrapeFrom(ctx, t, fmt.Sprintf("http://%s/scrape?target=%s", exporter, url.QueryEscape(leader.ClientAddr)), "memcached_")
	ours := scrapeFrom(ctx, t, "http://"+leader.AdminAddr+"/metrics", "raftcached_")
	shared := 0
	for name, value := range ours {
		bare, _, _ := strings.Cut(strings.TrimPrefix(name, "raftcached_"), "{")
		other, have := theirs["memcached_"+strings.TrimPrefix(name, "raftcached_")]
		if !have || slices.Contains(moves, bare) {
			continue
		}
		if shared++; value != other {
			t.Errorf("%s is %s, and memcached_exporter tells %s", name, value, other)
		}
	}
	if shared < 20 {
		t.Errorf("%d figures are in both", shared)
	}
	for name, want := range map[string]string{
		`raftcached_raft_role{role="leader"}`: "1", "raftcached_raft_has_leader": "1", "raftcached_voters_reachable": "3",
		`raftcached_state_verdict{verdict="ok"}`: "1", `raftcached_writes_refused{reason="none"}`: "1", "raftcached_raft_leader_changes_total": "1",
	} {
		if ours[name] != want {
			t.Errorf("%s is %q, want %q", name, ours[name], want)
		}
	}
	// Every write was measured, and what the leader did for it.
	for name, least := range map[string]int{
		`raftcached_command_duration_seconds_count{command="set"}`: 2, `raftcached_command_duration_seconds_count{command="incr"}`: 1,
		`raftcached_command_duration_seconds_count{command="delete"}`: 1, `raftcached_command_duration_seconds_count{command="touch"}`: 1,
		`raftcached_command_duration_seconds_count{command="cas"}`: 1, `raftcached_command_duration_seconds_count{command="other"}`: 1,
		"raftcached_log_sync_duration_seconds_count": 3, "raftcached_commit_duration_seconds_count": 3, "raftcached_apply_duration_seconds_count": 3,
	} {
		n, err := strconv.ParseFloat(ours[name], 64)
		if err != nil || int(n) < least || strings.Contains(name, "command_") && int(n) != least {
			t.Errorf("%s is %q, want %d", name, ours[name], least)
		}
		sum, err := strconv.ParseFloat(ours[strings.Replace(name, "_count", "_sum", 1)], 64)
		if err != nil || sum < n*1e-6 || sum > n*10 {
			t.Errorf("%s: the sum of %v is %v s, %v", name, n, sum, err)
		}
	}
}

// absentMetric returns why this server does not have a metric, or "".
func absentMetric(name string) string {
	for _, a := range absentMetrics {
		for pattern := range strings.FieldsSeq(a.names) {
			bare, _, _ := strings.Cut(name, "{")
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			if bare == pattern || isPrefix && strings.HasPrefix(bare, prefix) {
				return a.reason
			}
		}
	}
	return ""
}

// startExporter builds and starts the exporter that tools/exporter pins, and returns
// its address.
func startExporter(ctx context.Context, t *testing.T) string {
	t.Helper()
	program, err := cluster.Build(ctx, t.TempDir(), exporterPackage, "-modfile=tools/exporter/go.mod")
	if err != nil {
		skip(t, "needs Prometheus' memcached_exporter, which go build fetches: %v", err)
	}
	// At an address of its own no other program has the port.
	addr := fmt.Sprintf("127.%d.%d.%d:9150", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	process, err := cluster.StartProcess(filepath.Join(t.TempDir(), "exporter.log"), nil, program,
		"--memcached.address=", "--web.listen-address="+addr)
	must(t, err)
	t.Cleanup(func() { must(t, process.End(context.WithoutCancel(ctx), syscall.SIGKILL)) })
	must(t, cluster.Await(ctx, func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}))
	return addr
}

// scrape returns the memcached metrics that the exporter reports for a server, by
// name and labels. Every slab number is replaced by 1, and the version is left out.
func scrape(ctx context.Context, t *testing.T, exporter, addr string) map[string]string {
	t.Helper()
	metrics := scrapeFrom(ctx, t, fmt.Sprintf("http://%s/scrape?target=%s", exporter, url.QueryEscape(addr)), "memcached_")
	maps.DeleteFunc(metrics, func(name, _ string) bool { return strings.HasPrefix(name, "memcached_version") })
	return metrics
}

// scrapeFrom returns the metrics at an address whose names begin so, by name and labels.
func scrapeFrom(ctx context.Context, t *testing.T, from, prefix string) map[string]string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	body, err := io.ReadAll(response.Body)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Fatalf("scrape of %s: %s\n%s", from, response.Status, body)
	}
	metrics := map[string]string{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if value == "" {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		} else {
			name += "}"
		}
		if strings.HasPrefix(name, prefix) {
			metrics[name] = value
		}
	}
	return metrics
}
