package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

const deploy = "../../deploy/"

// told returns the names of the metrics in testdata/metrics.txt, and of those of the
// process and of Prometheus that the rules use.
func told(t *testing.T) (names []string, series string) {
	t.Helper()
	text, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 2 && words[1] == "TYPE" {
			names = append(names, words[2])
			if len(words) > 3 && words[3] == "histogram" {
				names = append(names, words[2]+"_bucket", words[2]+"_sum", words[2]+"_count")
			}
		}
	}
	return append(names, "up", "process_cpu_seconds_total", "process_resident_memory_bytes"), string(text)
}

var (
	metricName = regexp.MustCompile(`\b(raftcached|process|go)_[a-z_]+`)
	labelValue = regexp.MustCompile(`(command|status|way|role|verdict|setting|reason|port)!?="([^"]*)"`)
)

// checkExpression fails if an expression names what no server tells.
func checkExpression(t *testing.T, where, expression string) {
	t.Helper()
	names, series := told(t)
	found := metricName.FindAllString(expression, -1)
	if len(found) == 0 && !strings.Contains(expression, "up{") {
		t.Errorf("%s: %s names no metric", where, expression)
	}
	for _, name := range found {
		if !slices.Contains(names, name) {
			t.Errorf("%s: no server tells %s", where, name)
		}
	}
	for _, l := range labelValue.FindAllStringSubmatch(expression, -1) {
		if pair := l[1] + `="` + l[2] + `"`; !strings.Contains(series, pair) {
			t.Errorf("%s: no server tells %s", where, pair)
		}
	}
}

// TestAlerts: each alert is of what servers tell, and docs/monitor.md explains it.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(deploy + "prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	explained, err := os.ReadFile("../../docs/monitor.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			checkExpression(t, r.Alert, r.Expr)
			if !strings.Contains(string(explained), "| "+r.Alert+" |") {
				t.Errorf("docs/monitor.md does not explain %s", r.Alert)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s has no severity or no summary", r.Alert)
			}
		}
	}
	if in := strings.Count(string(explained), "\n| Raftcached"); rules != in || rules == 0 {
		t.Errorf("docs/monitor.md explains %d alerts, and there are %d", in, rules)
	}
}

// TestDashboard: each panel shows what servers tell.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(deploy + "grafana/raftcached.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Panels) == 0 {
		t.Fatal("there are no panels")
	}
	for _, p := range file.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr)
		}
	}
}
