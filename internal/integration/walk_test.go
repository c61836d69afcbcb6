package integration

import (
	"os"
	"strings"
	"testing"
)

// walkOf splits docs/operate.md into the walk through a cluster and the rest.
func walkOf(t *testing.T, text string) (walk, rest string) {
	t.Helper()
	before, walk, found := strings.Cut(text, "## From the first start to the last")
	walk, after, ends := strings.Cut(walk, "\n## ")
	if !found || !ends {
		t.Fatal("docs/operate.md has no walk through a cluster")
	}
	return walk, before + "## " + after
}

// TestWalkThroughACluster runs the walk of docs/operate.md.
func TestWalkThroughACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the commands of a document: not in a short run")
	}
	t.Parallel()
	_, err := buildCtl()
	must(t, err)
	text, err := os.ReadFile("../../docs/operate.md")
	must(t, err)
	walk, _ := walkOf(t, string(text))
	all := runDocument(t, "docs/operate.md", walk)
	if len(all) < 20 {
		t.Fatalf("docs/operate.md has %d commands", len(all))
	}
	if restored := all[len(all)-2]; strings.Count(restored.output, "VALUE ") != 2 {
		t.Errorf("after the restore %s prints\n%s", restored.command, restored.output)
	}
}
