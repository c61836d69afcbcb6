package replication

import (
	"testing"
	"time"

	"raftcached/internal/measure"
)

// TestCommitsAreTimed follows a leader's status through proposals, commits in parts, and the
// loss of its leadership: each entry that it has proposed counts once, from then on.
func TestCommitsAreTimed(t *testing.T) {
	var (
		timings Timings
		clock   commitClock
	)
	at := func(ms int, term, last, commit uint64, leads bool) {
		clock.observe(&Status{Term: term, LastIndex: last, Commit: commit}, time.Duration(ms)*time.Millisecond, leads, &timings)
	}
	want := func(when string, n uint64, ms int) {
		t.Helper()
		var d measure.Distribution
		d.Include(&timings.Commit)
		sum, _ := d.Seconds()
		if got := time.Duration(sum*1e9 + 0.5); d.Count() != n || got != time.Duration(ms)*time.Millisecond {
			t.Fatalf("%s: %d entries with %v, want %d with %d ms", when, d.Count(), got, n, ms)
		}
	}
	at(0, 1, 10, 8, false)
	at(10, 2, 10, 8, true) // 9 and 10 are of another leader
	at(20, 2, 13, 9, true)
	want("proposed", 0, 0)
	at(30, 2, 14, 12, true)
	want("in part", 2, 20)
	at(40, 2, 14, 14, true)
	want("all", 4, 20+20+10)
	at(50, 2, 20, 14, true)
	at(60, 3, 20, 20, false) // nobody knows what of that it has proposed
	at(70, 4, 20, 20, true)
	want("after another leader", 4, 50)
	const flood = 3 * proposedMax
	for i := range uint64(flood) { // nothing is committed for long
		at(100+int(i), 4, 21+i, 20, true)
	}
	at(10_000, 4, 20+flood, 20+flood, true)
	before := count(&timings.Commit)
	at(10_010, 4, 30+flood, 20+flood, true)
	at(10_020, 4, 30+flood, 30+flood, true)
	if n := count(&timings.Commit) - before; n != 10 || clock.n != 0 {
		t.Fatalf("after a flood %d entries count, want 10; %d turns are left", n, clock.n)
	}
}

func count(h *measure.Histogram) uint64 {
	var d measure.Distribution
	d.Include(h)
	return d.Count()
}
