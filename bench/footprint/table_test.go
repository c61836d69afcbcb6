//go:build linux

package footprint

import (
	"strings"
	"testing"
	"time"
)

// cells returns what a table says in its last row, by column.
func cells(t *testing.T, markdown string) map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(markdown), "\n")
	split := func(line string) []string { return strings.Split(strings.Trim(line, "|"), "|") }
	head, align, last := split(lines[0]), split(lines[1]), split(lines[len(lines)-1])
	if len(head) != len(last) || len(head) != len(align) {
		t.Fatalf("%d columns have names, %d an alignment, %d something in the last row", len(head), len(align), len(last))
	}
	row := map[string]string{}
	for i, name := range head {
		row[strings.TrimSpace(name)] = strings.TrimSpace(last[i])
	}
	return row
}

func expect(t *testing.T, markdown string, want map[string]string) {
	t.Helper()
	got := cells(t, markdown)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("column %q is %q, want %q", name, got[name], value)
		}
	}
}

func TestWriteItems(t *testing.T) {
	rival := ItemRow{Items: 1 << 20, ValueBytes: 100, Server: "memcached", EmptyBytes: 4 << 20, Bytes: 200 << 20}
	ours := ItemRow{
		Items: 1 << 20, ValueBytes: 100, Server: "raftcached", EmptyBytes: 10 << 20, LoadedBytes: 300 << 20, Bytes: 170 << 20,
		Where: Where{ReservedBytes: 150 << 20, ProgramBytes: 9 << 20, OtherBytes: 11 << 20}, Evictions: 3, Rival: &rival,
	}
	var out strings.Builder
	if err := WriteItems(&out, []ItemRow{rival, ours}); err != nil {
		t.Fatal(err)
	}
	expect(t, out.String(), map[string]string{
		"server": "raftcached", "empty MiB": "10.0", "loaded MiB": "300.0", "RSS MiB": "170.0", "RSS / items": "170.0",
		"(RSS - empty) / items": "160.0", "ratio": "0.85", "evictions": "3", "items MiB": "150.0", "program MiB": "9.0",
		"other MiB": "11.0",
	})
	if rival.Ratio() != "-" {
		t.Errorf("ratio of the rival to itself is %q", rival.Ratio())
	}
}

func TestWriteBounds(t *testing.T) {
	row := BoundRow{
		LimitBytes: 100 << 20, Load: "small", Answers: Answers{Requests: 9, Errors: 2}, FullAfter: 1500 * time.Millisecond,
		EmptyBytes: 10 << 20, MaxBytes: 120 << 20, PeakBytes: 125 << 20,
	}
	var out strings.Builder
	never := row
	never.FullAfter = 0
	if err := WriteBounds(&out, []BoundRow{never}); err != nil {
		t.Fatal(err)
	}
	expect(t, out.String(), map[string]string{"full after s": "never"})
	if err := WriteBounds(&out, []BoundRow{row}); err != nil {
		t.Fatal(err)
	}
	expect(t, out.String(), map[string]string{
		"limit MiB": "100.0", "errors": "2", "full after s": "1.5", "(max - empty) / limit": "1.10", "peak - 1.15 limit, MiB": "10.0",
	})
}

func TestWriteGC(t *testing.T) {
	row := GCRow{Items: 5, ValueBytes: 100, Rate: 1234.4, Span: 2 * time.Second, ProcessCPU: time.Second, Collections: Collections{
		Cycles: 4, Unreadable: 1, CPU: 40 * time.Millisecond, IdleCPU: 10 * time.Millisecond, AllCPU: 4 * time.Second,
		SweepEndMax: 1500 * time.Microsecond, MarkEndMax: 60 * time.Microsecond, LiveMiBMax: 5, GoalMiBMax: 14,
	}}
	var out strings.Builder
	if err := WriteGC(&out, row); err != nil {
		t.Fatal(err)
	}
	expect(t, out.String(), map[string]string{
		"requests/s": "1234", "cycles": "4", "unreadable": "1", "CPU of all cores": "1.00 %", "of it idle": "0.25 %",
		"CPU of the process": "4.00 %", "sweep termination, max ms": "1.500", "mark termination, max ms": "0.060",
	})
}
