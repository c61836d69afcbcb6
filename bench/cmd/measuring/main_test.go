//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// TestShortRun measures real servers, and has the benchmarks run.
func TestShortRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), t.TempDir(), 50*time.Millisecond, 1, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[2], "| get | ") || !strings.HasPrefix(lines[3], "| set | ") || !strings.Contains(lines[3], "less than 1 %: ") {
		t.Errorf("the report is\n%s", out.String())
	}
}
