//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// TestShortRun measures real servers, the program itself in place of an older one too.
func TestShortRun(t *testing.T) {
	old, err := cluster.Build(t.Context(), t.TempDir(), "./cmd/raftcached")
	if err != nil {
		t.Fatal(err)
	}
	b := &comparison{duration: 50 * time.Millisecond, rounds: 1, keys: 100, only: "", old: old}
	var out strings.Builder
	if err := b.run(t.Context(), t.TempDir(), []string{"off", "all"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{" lone server | ", " leases all, leader | ", " leases off, follower ", " leases off, before, leader | ", " of before, CPU ", "| 10 % sets, 50 conns, depth 16 | leases all, follower ", "with holders"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
