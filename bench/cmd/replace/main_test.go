//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"raftcached/bench/steady"
)

// TestShortRun replaces a real server of a small cache.
func TestShortRun(t *testing.T) {
	c := config{Setup: steady.Setup{SizeMiB: 2, ValueBytes: 100, Conns: 4, Servers: 3, Dir: t.TempDir()}, quiet: 200 * time.Millisecond}
	var out strings.Builder
	if err := run(t.Context(), c, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"| before | 0.2 | ", "| from kill -9 to the vote | ", "| after | 0.2 | ", " 4/4 it votes  ok  one loss is survived"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestLongestGap(t *testing.T) {
	start := time.Unix(1000, 0)
	s := stretch{from: start, to: start.Add(10 * time.Second)}
	at := func(seconds ...int) (times []time.Time) {
		for _, n := range seconds {
			times = append(times, start.Add(time.Duration(n)*time.Second))
		}
		return times
	}
	for _, c := range []struct {
		times []time.Time
		want  time.Duration
	}{
		{nil, 10 * time.Second},
		{at(9, 1, 4), 5 * time.Second},
		{at(3), 7 * time.Second},
	} {
		if got := longestGap(s, c.times); got != c.want {
			t.Errorf("%v: %v, want %v", c.times, got, c.want)
		}
	}
}
