package tuning

import (
	"testing"
	"time"
)

var (
	idle    = load{busy: 0.01, wait: 2 * time.Microsecond}
	writes  = load{busy: 0.5, wait: 60 * time.Microsecond} // batches that go from goroutine to goroutine
	queued  = load{busy: 0.5, wait: 800 * time.Microsecond}
	full    = load{busy: 0.95, wait: 20 * time.Microsecond}
	between = load{busy: 0.9, wait: 20 * time.Microsecond} // enough for two, too much for one
)

// TestGovernor tells what a load, for so many periods, has the governor allow in the end.
func TestGovernor(t *testing.T) {
	type span struct {
		load    load
		periods int
		want    int
	}
	for _, test := range []struct {
		name  string
		most  int
		spans []span
	}{
		{"an idle server needs one", 4, []span{{idle, calmLeast - 1, 4}, {idle, 1, 3}, {idle, 2 * calmLeast, 1}, {idle, 1000, 1}}},
		{"writes that one processor can do", 2, []span{{writes, calmLeast, 1}, {writes, 1000, 1}}},
		{"one is all busy", 4, []span{{idle, 200, 1}, {full, raiseAfter - 1, 1}, {full, 1, 2}, {full, 100, 2}}},
		{"all are busy", 2, []span{{load{busy: 2}, 1000, 2}}},
		{"goroutines wait, though it is not busy", 4, []span{{idle, 200, 1}, {queued, raiseAfter, 2}, {queued, raiseAfter, 3}, {queued, 100, 4}}},
		{"a load begins on many", 64, []span{{idle, 2000, 1}, {queued, 5 * raiseAfter, 9}, {queued, 6 * raiseAfter, 64}}},
		{"a moment is not a load", 2, []span{{idle, 200, 1}, {full, raiseAfter - 1, 1}, {idle, 1, 1}, {full, raiseAfter - 1, 1}}},
		{"a pause is not the end of a load", 2, []span{{full, calmLeast, 2}, {idle, calmLeast - 1, 2}, {full, 1, 2}, {between, 100, 2}}},
		{"calm ends where nobody knows", 2, []span{{idle, calmLeast - 1, 2}, {between, 1, 2}, {idle, calmLeast - 1, 2}, {idle, 1, 1}}},
	} {
		g := governor{allowed: test.most, most: test.most}
		for i, s := range test.spans {
			for range s.periods {
				g.next(s.load)
			}
			if g.allowed != s.want {
				t.Errorf("%s: %d processors after span %d, want %d", test.name, g.allowed, i, s.want)
			}
		}
	}
}

// TestGovernorSettles: a load that is too much for one, and seems little for two, has it
// change less and less often, and a load that comes much later finds it as it began.
func TestGovernorSettles(t *testing.T) {
	g := governor{allowed: 2, most: 2}
	changes := 0
	for range 10_000 {
		before, l := g.allowed, queued
		if before == 2 {
			l = writes
		}
		if g.next(l) != before {
			changes++
		}
	}
	if changes < 4 || changes > 30 {
		t.Errorf("%d changes in 10,000 periods, want 4 to 30", changes)
	}
	for range 3 * calmMost {
		g.next(idle)
	}
	for range raiseAfter {
		g.next(full)
	}
	for range calmLeast {
		g.next(idle)
	}
	if g.allowed != 1 {
		t.Errorf("%d processors when a new load has ended, want 1", g.allowed)
	}
}

// TestGovernorRests: only a process that has one processor, and hardly uses it, is looked at
// less often.
func TestGovernorRests(t *testing.T) {
	for _, test := range []struct {
		allowed int
		load    load
		want    int
	}{{1, idle, restPeriods}, {2, idle, 1}, {1, writes, 1}, {1, full, 1}} {
		if g := (governor{allowed: test.allowed, most: 2}); g.rest(test.load) != test.want {
			t.Errorf("with %d processors and %+v: the next look after %d periods, want %d", test.allowed, test.load, g.rest(test.load), test.want)
		}
	}
}

// TestGovernorOfOneProcessor: a machine that has one gives a server a second for its slow
// disk, never because the one is busy.
func TestGovernorOfOneProcessor(t *testing.T) {
	stalled := load{busy: 0.2, wait: 800 * time.Microsecond}
	busy := load{busy: 0.95, wait: 800 * time.Microsecond}
	g := governorOf(1)
	for i, s := range []struct {
		load    load
		periods int
		want    int
	}{{idle, 1000, 1}, {busy, 1000, 1}, {stalled, raiseAfter - 1, 1}, {stalled, 1, 2}, {stalled, 1000, 2}, {busy, calmMost, 1}} {
		for range s.periods {
			g.next(s.load)
		}
		if g.allowed != s.want {
			t.Errorf("%d processors after span %d, want %d", g.allowed, i, s.want)
		}
	}
}
