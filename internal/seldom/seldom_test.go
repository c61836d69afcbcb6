package seldom

import (
	"strconv"
	"testing"
	"time"
)

// TestTheSameIsToldOnce a minute, with how often it has happened.
func TestTheSameIsToldOnce(t *testing.T) {
	type refusal struct {
		server int
		reason string
	}
	var n News[refusal]
	start := time.Now()
	for _, c := range []struct {
		server int
		reason string
		after  time.Duration
		times  int // 0: no news
	}{
		{1, "a", 0, 1},
		{1, "a", time.Second, 0},
		{1, "b", time.Second, 1},
		{2, "a", time.Second, 1},
		{1, "a", 2 * time.Second, 0},
		{1, "a", Period, 3},
		{1, "a", Period + time.Second, 0},
	} {
		if times, tell := n.Tell(refusal{c.server, c.reason}, start.Add(c.after)); times != c.times || tell != (c.times > 0) {
			t.Errorf("server %d, %s after %v: %d times, news %v; want %d", c.server, c.reason, c.after, times, tell, c.times)
		}
	}
	for i := range 1000 {
		n.Tell(refusal{1, strconv.Itoa(i)}, start)
		if len(n.told) > ThingsMax {
			t.Fatalf("%d things are remembered", len(n.told))
		}
	}
}
