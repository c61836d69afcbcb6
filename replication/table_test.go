package replication

import (
	"testing"

	"raftcached/replication/frame"
)

func TestTableAdmitsEachSubBatchOnce(t *testing.T) {
	steps := []struct {
		name      string
		boot, seq uint64
		want      verdict
	}{
		{"first of the first boot", 1, 1, verdictApply},
		{"sent again", 1, 1, verdictDuplicate},
		{"next", 1, 2, verdictApply},
		{"one is missing", 1, 4, verdictGap},
		{"the missing one", 1, 3, verdictApply},
		{"after the gap was filled", 1, 4, verdictApply},
		{"new boot must begin at 1", 2, 2, verdictGap},
		{"old boot goes on until the new one begins", 1, 5, verdictApply},
		{"new boot begins", 2, 1, verdictApply},
		{"old boot is retired", 1, 6, verdictDuplicate},
		{"new boot goes on", 2, 2, verdictApply},
	}
	table := newTable()
	for _, s := range steps {
		if got := table.admit(&SubBatch{Origin: 7, Loop: 3, Boot: s.boot, Seq: s.seq}); got != s.want {
			t.Fatalf("%s: boot %d seq %d: verdict %d, want %d", s.name, s.boot, s.seq, got, s.want)
		}
	}
	if got := table.admit(&SubBatch{Origin: 7, Loop: 4, Boot: 1, Seq: 1}); got != verdictApply {
		t.Fatalf("another loop is counted together with loop 3: verdict %d", got)
	}
}

func TestTableSurvivesEncoding(t *testing.T) {
	table := newTable()
	for origin := uint64(1); origin <= 3; origin++ {
		for loop := range 5 {
			table.admit(&SubBatch{Origin: origin, Loop: loop, Boot: 9, Seq: 1})
		}
	}
	b := table.append(nil)
	r := frame.NewReader(b)
	got, err := readTable(&r)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.rows) != 15 || got.digest() != table.digest() {
		t.Fatalf("%d rows with digest %x, want 15 with %x", len(got.rows), got.digest(), table.digest())
	}
	for cut := range b {
		r := frame.NewReader(b[:cut])
		if _, err := readTable(&r); err == nil {
			t.Fatalf("a table cut to %d of %d bytes was accepted", cut, len(b))
		}
	}
}
