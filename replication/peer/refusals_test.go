package peer

import (
	"strconv"
	"testing"
	"time"
)

// TestRefusalsAreNewsOnce a minute for each server and reason, with how many there were.
func TestRefusalsAreNewsOnce(t *testing.T) {
	var r refusals
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
		{1, "a", refusalPeriod, 3},
		{1, "a", refusalPeriod + time.Second, 0},
	} {
		if times, news := r.news(c.server, c.reason, start.Add(c.after)); times != c.times || news != (c.times > 0) {
			t.Errorf("server %d, %s after %v: %d times, news %v; want %d", c.server, c.reason, c.after, times, news, c.times)
		}
	}
	for i := range 1000 {
		r.news(1, strconv.Itoa(i), start)
		if len(r.said) > refusalsMax {
			t.Fatalf("%d refusals are remembered", len(r.said))
		}
	}
}
