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
	"strings"
	"syscall"
	"testing"

	"raftcached/internal/cluster"
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
	from := fmt.Sprintf("http://%s/scrape?target=%s", exporter, url.QueryEscape(addr))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	body, err := io.ReadAll(response.Body)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Fatalf("scrape of %s: %s\n%s", addr, response.Status, body)
	}
	metrics := map[string]string{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if value == "" {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		} else {
			name += "}"
		}
		if strings.HasPrefix(name, "memcached_") && !strings.HasPrefix(name, "memcached_version") {
			metrics[name] = value
		}
	}
	return metrics
}
