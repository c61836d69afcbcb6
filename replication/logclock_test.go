package replication

import (
	"log/slog"
	"slices"
	"strings"
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

// TestLogClockTellsOfADifference: of a clock that differs for long, once, and when that
// is over. What was held up, and comes all at once, tells nothing.
func TestLogClockTellsOfADifference(t *testing.T) {
	var c logClock
	for at := range 30 { // a minute of reports at once
		if c.report(2, int64(at-60)*1000, time.Second) {
			t.Fatalf("report %d, which was held up, is news", at)
		}
	}
	var news []time.Duration
	for at := 2 * time.Second; at <= time.Minute; at += time.Second {
		offset := 3 * time.Second
		if at <= 5*time.Second || at > 40*time.Second {
			offset = clockDifferenceMax
		}
		if c.report(2, -offset.Milliseconds(), at) {
			news = append(news, at)
		}
	}
	if want := []time.Duration{15 * time.Second, 41 * time.Second}; !slices.Equal(news, want) {
		t.Errorf("news at %v, want %v", news, want)
	}
}

// TestClockLines: the lines for people.
func TestClockLines(t *testing.T) {
	var text strings.Builder
	r := &Replica{log: slog.New(slog.NewTextHandler(&text, nil))}
	for _, ahead := range []time.Duration{65 * time.Second, -3200 * time.Millisecond, 0} {
		r.logClock(&ClockDifference{Peer: 2, Ahead: ahead})
	}
	for _, want := range []string{
		`level=WARN msg="clock: that of server 2 is 1m5s ahead of this server's: have a time server set both; items expire by the median of all clocks"`,
		`level=WARN msg="clock: that of server 2 is 3s behind this server's: `,
		`level=INFO msg="clock: server 2 and this one agree again"`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}
