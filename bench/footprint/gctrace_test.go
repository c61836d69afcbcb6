//go:build linux

package footprint

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// traced is what a server prints: its own lines, and the runtime's. The line of
// cycle 4 was torn by another one.
const traced = `time=2026-11-23T18:01:16Z level=INFO msg="gc 1 of nothing"
gc 1 @0.012s 2%: 0.026+0.39+0.10 ms clock, 0.05+0.88/0.52/0.25+0.20 ms cpu, 4->4->0 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 2 @1.500s 2%: 1.5+10+0.50 ms clock, 3.0+1/2/4+1.0 ms cpu, 7->8->3 MB, 8 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 3 @2.000s 2%: 0.25+12+0.75 ms clock, 0.50+0/3/0.5+1.5 ms cpu, 12->13->5 MB, 14 MB goal, 1 MB stacks, 0 MB globals, 2 P (forced)
gc 4 @2.500s 2%: 0.25+12time=2026-11-23T18:01:18Z level=INFO msg=hello
+0.75 ms clock, 0.50+0/3/0.5+1.5 ms cpu, 12->13->5 MB, 14 MB goal, 1 MB stacks, 0 MB globals, 2 P
gc 5 @2.900s 2%: 0.1+1+0.1 ms clock, 0+0/1/0+0 ms cpu, 6->6->4 MB, 10 MB goal, 1 MB stacks, 0 MB globals, 2 P
`

// TestReadCycles also shows that the lines of anything else are passed over.
func TestReadCycles(t *testing.T) {
	cycles, err := ReadCycles(strings.NewReader(traced))
	if err != nil {
		t.Fatal(err)
	}
	want := Cycle{
		Number: 2, SweepEnd: 1500 * time.Microsecond, MarkEnd: 500 * time.Microsecond,
		CPU: 11 * time.Millisecond, IdleCPU: 4 * time.Millisecond, LiveMiB: 3, GoalMiB: 8, Procs: 2,
	}
	if len(cycles) != 4 || cycles[1] != want {
		t.Errorf("cycles are %+v; want 4, the second %+v", cycles, want)
	}
}

// TestCollect takes the cycles after the first: what was before does not count,
// and one that cannot be parsed is counted.
func TestCollect(t *testing.T) {
	cycles, err := ReadCycles(strings.NewReader(traced))
	if err != nil {
		t.Fatal(err)
	}
	want := Collections{
		Cycles: 4, Unreadable: 1, CPU: 17500 * time.Microsecond, IdleCPU: 4500 * time.Microsecond, AllCPU: 4 * time.Second,
		SweepEndMax: 1500 * time.Microsecond, MarkEndMax: 750 * time.Microsecond, LiveMiBMax: 5, GoalMiBMax: 14,
	}
	if got := Collect(cycles, 1, 2*time.Second, 2); got != want {
		t.Errorf("collections are %+v, want %+v", got, want)
	}
	if got, want := Collect(cycles, 5, time.Second, 2), (Collections{AllCPU: 2 * time.Second}); got != want {
		t.Errorf("collections after the last one are %+v, want %+v", got, want)
	}
}

// TestOwnTrace reads what this version of Go prints: this test program, started
// again, collects a few times. The format may change with any version.
func TestOwnTrace(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run", "^TestGarbage$")
	child.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOGC=20")
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	cycles, err := ReadCycles(strings.NewReader(string(output)))
	if err != nil || len(cycles) == 0 {
		t.Fatalf("no cycles (%v) in %q", err, output)
	}
	if c := cycles[0]; c.Number != 1 || c.CPU <= 0 || c.Procs < 1 {
		t.Errorf("the first of %d cycles is %+v", len(cycles), c)
	}
}

// TestGarbage makes the collector of TestOwnTrace's child run.
func TestGarbage(t *testing.T) {
	var kept [][]byte
	for range 64 {
		kept = append(kept, make([]byte, 1<<20))
	}
	if len(kept) != 64 {
		t.Fatal("nothing was kept")
	}
}
