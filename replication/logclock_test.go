package replication

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

var clockStart = time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)

const clockYear = 365 * 24 * time.Hour

// settled returns the log time of a new leader, 10 ms later, with the time until it knew.
// Reports of others, which say how far their clocks are ahead of its own, come after a
// third of a second.
func settled(c *logClock, voters int, offset time.Duration, reports ...time.Duration) (logTime time.Time, waited time.Duration) {
	const began = time.Minute
	c.begin(began, clockPatience)
	for mono := began; ; mono += 10 * time.Millisecond {
		if mono == began+330*time.Millisecond {
			for i, ahead := range reports {
				c.report(uint64(i+2), ahead.Milliseconds(), mono)
			}
		}
		if c.settle(mono, clockStart.Add(mono), voters, offset.Milliseconds(), offsetNow) {
			at := time.UnixMilli(c.stamp(mono + 10*time.Millisecond)).UTC()
			return at.Add(-10*time.Millisecond - mono), mono - began
		}
	}
}

// TestLogClockOfANewLeader: the first stamp is the median of a majority's clocks, and so
// is one after a time in which no server ran. One wrong clock has no part in it.
func TestLogClockOfANewLeader(t *testing.T) {
	const hour, patience, soon = time.Hour, clockPatience, 330 * time.Millisecond
	for _, c := range []struct {
		name    string
		voters  int
		last    time.Duration // of the log, after clockStart; 0: it is empty
		offset  time.Duration
		reports []time.Duration
		want    time.Duration // log time after clockStart
		waits   time.Duration
	}{
		{"alone, first", 1, 0, 0, nil, 0, 0},
		{"alone, after an hour", 1, -hour, 0, nil, 0, 0},
		{"alone, with a log two hours ahead, after an hour", 1, hour, 2 * hour, nil, 2 * hour, 0},
		{"alone, the clock was set back", 1, hour, 0, nil, hour, 0},
		{"first of three, a year ahead", 3, 0, 0, []time.Duration{-clockYear, -clockYear}, -clockYear, soon},
		{"first of three, a year ahead of the one that it hears", 3, 0, 0, []time.Duration{-clockYear}, -clockYear, soon},
		{"of three, another is a year ahead", 3, -hour, 0, []time.Duration{clockYear, 0}, 0, soon},
		{"of five, hears one: not the time in which none ran", 5, -hour, 0, []time.Duration{0}, -hour, patience},
		{"first of three, hears none", 3, 0, 0, nil, 0, patience},
	} {
		var clock logClock
		if c.last != 0 {
			clock.raise(clockStart.Add(c.last+time.Minute).UnixMilli(), time.Minute)
		}
		got, waited := settled(&clock, c.voters, c.offset, c.reports...)
		if d := got.Sub(clockStart) - c.want; d.Abs() > patience || waited != c.waits {
			t.Errorf("%s: log time is %v after the clock, want %v; it has waited %v, want %v", c.name, got.Sub(clockStart), c.want, waited, c.waits)
		}
	}
}

// TestLogClockIsMonotonic: whatever the wall clocks do while a leader leads, log time
// runs as its monotonic clock does, and the offset takes what they do.
func TestLogClockIsMonotonic(t *testing.T) {
	for _, c := range []struct {
		voters int
		waits  time.Duration
	}{{1, 0}, {3, clockOffsetFor}} {
		var clock logClock
		clock.begin(0, clockPatience)
		wall, offset, since := clockStart, int64(0), time.Duration(0)
		corrected := map[time.Duration]time.Duration{} // by when
		for mono := time.Duration(0); mono <= 30*time.Second; mono += 10 * time.Millisecond {
			switch mono {
			case 10 * time.Second:
				wall, since = clockStart.Add(-2*time.Hour), mono
			case 20 * time.Second:
				wall, since = clockStart.Add(clockYear), mono
			}
			if c.voters > 1 && mono%time.Second == 0 { // late by a second each third time
				clock.report(2, -1000*int64(mono/time.Second%3/2), mono)
			}
			if !clock.settle(mono, wall.Add(mono), c.voters, offset, offsetNow) {
				t.Fatal("does not know a majority's clocks")
			}
			if got, want := clock.stamp(mono), clockStart.Add(mono).UnixMilli(); got != want {
				t.Fatalf("after %v log time is %d, want %d", mono, got, want)
			}
			if ms, wrong := clock.correct(mono, wall.Add(mono), c.voters, offset); wrong {
				corrected[mono-since] = time.Duration(ms) * time.Millisecond
				offset = ms
			}
		}
		if len(corrected) == 0 || time.Duration(offset)*time.Millisecond != -clockYear {
			t.Errorf("%d voters: offset %v, corrected %v", c.voters, time.Duration(offset)*time.Millisecond, corrected)
		}
		for at := range corrected {
			if at < c.waits || at > c.waits+2*time.Second {
				t.Errorf("%d voters: corrected %v after a clock was set", c.voters, at)
			}
		}
	}
}

// TestLogClockAwaitsTheOffset: a leader that applies for longer than its patience what others
// have left waits for that, and adds the time in which no server ran. One whose state is in
// quarantine waits no longer, and does not.
func TestLogClockAwaitsTheOffset(t *testing.T) {
	const off = time.Hour
	for _, known := range []offsetKnown{offsetSoon, offsetNever} {
		var c logClock
		c.raise(clockStart.UnixMilli(), 0)
		c.begin(0, clockPatience)
		long := 10 * clockPatience
		settled := c.settle(long, clockStart.Add(off), 1, 0, known)
		if settled != (known == offsetNever) {
			t.Errorf("known %d: settled: %v", known, settled)
		}
		c.settle(long, clockStart.Add(off), 1, 0, offsetNow)
		want := off
		if known == offsetNever {
			want = long
		}
		if got := time.UnixMilli(c.stamp(long)).Sub(clockStart); got != want {
			t.Errorf("known %d: log time has run %v, want %v", known, got, want)
		}
	}
}

// TestWallClockThatIsSet: times of a process have a monotonic reading too, which hides that the
// clock on the wall was set.
func TestWallClockThatIsSet(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	core := r.elect().machine.core
	now := time.Now()
	core.Observe(core.mono, now)
	core.clock.report(2, 0, core.mono)
	core.Observe(core.mono+time.Millisecond, now.Add(time.Millisecond))
	if len(core.clock.peers) == 0 {
		t.Fatal("reports are forgotten although nobody set a clock")
	}
	if core.wall != core.wall.Round(0) {
		t.Error("the time on the wall has a monotonic reading")
	}
	core.Observe(core.mono+time.Millisecond, now.Round(0).Add(time.Hour))
	if len(core.clock.peers) != 0 {
		t.Error("reports count that were relative to what the clock showed before it was set")
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
