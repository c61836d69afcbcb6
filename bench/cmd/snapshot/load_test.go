//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestMeets(t *testing.T) {
	start := time.Unix(1000, 0)
	windows := []window{{start.Add(10 * time.Second), start.Add(20 * time.Second)}}
	for _, c := range []struct {
		due, latency time.Duration
		want         bool
	}{
		{9 * time.Second, time.Millisecond, false},
		{9 * time.Second, 2 * time.Second, true},
		{15 * time.Second, time.Millisecond, true},
		{9 * time.Second, 30 * time.Second, true},
		{20 * time.Second, time.Second, false},
	} {
		if got := meets(sample{due: start.Add(c.due), latency: c.latency}, windows); got != c.want {
			t.Errorf("due after %v, %v long: %v", c.due, c.latency, got)
		}
	}
}

func TestLatencyTable(t *testing.T) {
	var samples []sample
	for i := range 1000 {
		samples = append(samples, sample{latency: time.Duration(i+1) * time.Millisecond})
	}
	var out strings.Builder
	writeLatencies(&out, samples, nil)
	if want := "| set | none | 1000 | 500.00 | 990.00 | 999.00 | 1000.00 |"; !strings.Contains(out.String(), want) {
		t.Fatalf("no line %q in\n%s", want, out.String())
	}
}
