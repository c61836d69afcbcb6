package protocol_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDifferencesAreListed holds docs/differences.md against the transcripts: it
// has each reason of an "ours:" line in a row of that file, and no others.
func TestDifferencesAreListed(t *testing.T) {
	text, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	section, _, found := strings.Cut(string(text), "\n## What no transcript shows")
	if !found {
		t.Fatal("the section of the transcripts does not end")
	}
	listed := map[string]bool{}
	for line := range strings.Lines(section) {
		if file, rest, isRow := strings.Cut(strings.TrimPrefix(line, "| "), ".txt | "); isRow {
			why, _, _ := strings.Cut(rest, " | ")
			listed[file+".txt: "+why] = true
		}
	}
	shown := map[string]bool{}
	for _, b := range loadTranscripts(t) {
		if b.Ours == "" {
			continue
		}
		row := filepath.Base(b.File) + ": " + b.Ours
		shown[row] = true
		if !listed[row] {
			t.Errorf("%s:%d differs from memcached, docs/differences.md does not say so", b.File, b.Line)
		}
	}
	for row := range listed {
		if !shown[row] {
			t.Errorf("docs/differences.md lists %q, which no transcript shows", row)
		}
	}
}
