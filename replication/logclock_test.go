package replication

import (
	"testing"
	"time"
)

var clockStart = time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)

// clockRun drives a clock that starts in agreement with the wall, 10 ms a step.
func clockRun(c *logClock, d, wallAhead time.Duration, voters int, perStep func(mono time.Duration)) (stampMs int64) {
	for mono := time.Duration(0); mono <= d; mono += 10 * time.Millisecond {
		if perStep != nil {
			perStep(mono)
		}
		next := c.stamp(mono, clockStart.Add(mono+wallAhead), voters)
		if next < stampMs {
			panic("log time went back")
		}
		stampMs = next
	}
	return stampMs
}

func TestLogClockFollowsTheWall(t *testing.T) {
	var c logClock
	got := clockRun(&c, time.Minute, 0, 3, nil)
	if want := clockStart.Add(time.Minute).UnixMilli(); got != want {
		t.Fatalf("stamp %d, want %d", got, want)
	}
}

func TestLogClockSlewsASmallDifference(t *testing.T) {
	var c logClock
	c.raise(clockStart.UnixMilli(), 0)
	got := clockRun(&c, time.Second, 500*time.Millisecond, 3, nil)
	want := clockStart.Add(time.Second + 100*time.Millisecond).UnixMilli()
	if got < want-2 || got > want {
		t.Fatalf("after a second, 500 ms behind: stamp %d, want %d: a tenth of the time that passed is made up", got, want)
	}
}

func TestLogClockIgnoresOneWrongClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	var c logClock
	c.raise(clockStart.UnixMilli(), 0)
	got := clockRun(&c, 10*time.Second, year, 3, func(mono time.Duration) {
		c.report(2, -year.Milliseconds(), mono)
		c.report(3, -year.Milliseconds(), mono)
	})
	if want := clockStart.Add(10 * time.Second).UnixMilli(); got != want {
		t.Fatalf("leader a year ahead of its peers stamps %d, want %d", got, want)
	}
}

func TestLogClockJumpsWhenAMajorityAgrees(t *testing.T) {
	const day = 24 * time.Hour // the cluster was down for a day
	for _, c := range []struct {
		name    string
		voters  int
		reports int
		jumps   bool
	}{
		{"alone of one", 1, 0, true},
		{"alone of three", 3, 0, false},
		{"two of three", 3, 1, true},
		{"two of five", 5, 1, false},
		{"three of five", 5, 2, true},
	} {
		var clock logClock
		clock.raise(clockStart.UnixMilli(), 0)
		got := clockRun(&clock, time.Second, day, c.voters, func(mono time.Duration) {
			for i := range c.reports {
				clock.report(uint64(i+2), 0, mono)
			}
		})
		if jumped := got >= clockStart.Add(day).UnixMilli(); jumped != c.jumps {
			t.Errorf("%s: stamp %d, jumped %v, want %v", c.name, got, jumped, c.jumps)
		}
	}
}

func TestLogClockForgetsOldReports(t *testing.T) {
	var c logClock
	c.report(2, 0, 0)
	if _, agreed := c.median(clockReportAge, 3); !agreed {
		t.Fatal("a fresh report does not count")
	}
	if _, agreed := c.median(clockReportAge+1, 3); agreed {
		t.Fatal("an old report counts")
	}
}
