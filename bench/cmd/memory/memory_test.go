//go:build linux

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"raftcached/internal/cluster"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("raftcached/internal/cluster.startOnLastingThread.func1.1"))
}

// tiny is a run of a few seconds.
func tiny(t *testing.T, args ...string) config {
	t.Helper()
	c, err := readFlags(append([]string{
		"-dir", t.TempDir(), "-items", "2000", "-values", "100", "-quiet", "100ms", "-conns", "4",
		"-limits", "2", "-duration", "50ms", "-gc-items", "2000", "-gc-duration", "300ms",
	}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runTiny returns what a run prints, and checks that it leaves nothing behind.
func runTiny(t *testing.T, c config) string {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(c.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder for data: %v, %v", left, err)
	}
	return out.String()
}

// rowsOf returns the cells of the rows that a document's tables have, without their
// heads.
func rowsOf(document string) (rows [][]string) {
	for line := range strings.Lines(document) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if strings.HasPrefix(line, "| ") && !strings.HasSuffix(cells[0], ":") {
			rows = append(rows, cells)
		}
	}
	return slices.DeleteFunc(rows, func(cells []string) bool {
		return cells[0] == "| items" || cells[0] == "| limit MiB"
	})
}

// TestItems measures the real programs with few items, of which none is lost.
func TestItems(t *testing.T) {
	cluster.NeedMemcached(t)
	out := runTiny(t, tiny(t, "-parts", "items"))
	rows := rowsOf(out)
	if len(rows) != 2 || rows[0][2] != "memcached" || rows[1][2] != "raftcached, nodes: 1" {
		t.Fatalf("want a row of memcached and one of raftcached:\n%s", out)
	}
	for _, row := range rows {
		const evictions = 9
		if row[evictions] != "0" {
			t.Errorf("evictions: %q in %v", row[evictions], row)
		}
	}
	if ratio := rows[1][8]; ratio == "-" || ratio == "0.00" {
		t.Errorf("ratio is %q", ratio)
	}
}

// TestBoundAndGC measures a real raftcached: every load without an error, in a
// cache that is full, and a collector that works.
func TestBoundAndGC(t *testing.T) {
	out := runTiny(t, tiny(t, "-parts", "bound,gc"))
	rows := rowsOf(out)
	if len(rows) != 5 {
		t.Fatalf("want four loads and one row of the collector:\n%s", out)
	}
	for _, row := range rows[:4] {
		if requests, errors, full := row[2], row[3], row[4]; requests == "0" || errors != "0" || full == "never" {
			t.Errorf("%s requests, %s errors, full after %s: %v", requests, errors, full, row)
		}
	}
	if cycles, unreadable := rows[4][4], rows[4][5]; cycles == "0" || unreadable != "0" {
		t.Errorf("%s cycles, %s unreadable: %v", cycles, unreadable, rows[4])
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, args := range [][]string{
		{"-parts", "items,speed"},
		{"-items", "0"},
		{"-items", "10,"},
		{"-values", "large"},
		{"-quiet", "0s"},
		{"-conns", "0"},
	} {
		if _, err := readFlags(args); err == nil {
			t.Errorf("flags %v: no error", args)
		}
	}
	if c, err := readFlags(nil); err != nil || len(c.parts) != 3 {
		t.Errorf("no flags: %+v, %v", c, err)
	}
}

// TestMemoryLimit: the largest run stays below the highest limit that raftcached
// takes, 16 GiB, and has room for memcached's slab classes.
func TestMemoryLimit(t *testing.T) {
	const items, valueBytes = 10_000_000, 1024
	got := memoryMiB(items, valueBytes)
	if lowest := items * (keyBytes + valueBytes) >> 20; got < lowest*5/4 || got > 16<<10 {
		t.Errorf("limit is %d MiB, want room for %d MiB and at most 16 GiB", got, lowest)
	}
}
