package integration

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// answered is a line of the client that counts: the time, and an answer.
var answered = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.`)

// TestTutorial runs docs/tutorial.md. What it shows last is that a client that counts
// while the leader is killed has every increment counted once.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the commands of a document: not in a short run")
	}
	t.Parallel()
	_, err := buildCtl()
	must(t, err)
	_, err = cluster.Build(context.Background(), filepath.Dir(executable), "./cmd/server-spawner")
	must(t, err)
	text, err := os.ReadFile("../../docs/tutorial.md")
	must(t, err)
	compared := false
	for _, r := range runDocument(t, "docs/tutorial.md", string(text)) {
		if strings.HasPrefix(r.command, "awk ") {
			compared = true
			if answered.MatchString(r.output) {
				t.Errorf("the client that counts was answered\n%s", r.output)
			}
		}
	}
	if !compared {
		t.Error("docs/tutorial.md does not look at the answers of the client that counts")
	}
}
