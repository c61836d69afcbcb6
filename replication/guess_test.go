package replication

import (
	"math"
	"testing"
	"time"
)

// TestGuess: a guess is between what two stamps allow, is kept while they allow it, and
// heeds that clocks may run at different rates.
func TestGuess(t *testing.T) {
	var g Guess
	if ms, latest := g.At(time.Hour); ms != 0 || latest != math.MaxInt64 {
		t.Errorf("without a stamp it is %d, or %d at the latest", ms, latest)
	}
	for _, c := range []struct {
		name       string
		asked, now time.Duration
		stampMs    int64
		at         time.Duration
		ms, latest int64
	}{
		{"the first: the time has passed at least", 10 * time.Second, 11 * time.Second, 5000, 11 * time.Second, 5000, 5000},
		{"a second per second, and one in a thousand", 10 * time.Second, 11 * time.Second, 5000, 31 * time.Second, 25000, 25020},
		{"a slower answer says nothing", 20 * time.Second, 29 * time.Second, 15000, 29 * time.Second, 23000, 23000},
		{"a faster one says it is later", 30 * time.Second, 30*time.Second + time.Millisecond, 25000, 31 * time.Second, 25999, 25999},
		{"and one that was asked for later, that it is earlier", 40 * time.Second, 41 * time.Second, 34000, 41 * time.Second, 35000, 35000},
	} {
		g.Learn(c.asked, c.now, c.stampMs)
		if ms, latest := g.At(c.at); ms != c.ms || latest != c.latest {
			t.Errorf("%s: %d, or %d at the latest, want %d and %d", c.name, ms, latest, c.ms, c.latest)
		}
	}
}
