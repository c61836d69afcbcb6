package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// TestTutorial runs docs/tutorial.md. What it shows last is that a client that counts
// while the leader is killed has every increment counted once.
func TestTutorial(t *testing.T) {
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
			if strings.Contains(r.output, ":") { // a time, and an answer that is not the next number
				t.Errorf("the client that counts was answered\n%s", r.output)
			}
		}
	}
	if !compared {
		t.Error("docs/tutorial.md does not look at the answers of the client that counts")
	}
}
