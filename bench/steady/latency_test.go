//go:build linux

package steady

import (
	"testing"
	"time"
)

func TestMeets(t *testing.T) {
	start := time.Unix(1000, 0)
	windows := []Window{{start.Add(10 * time.Second), start.Add(20 * time.Second)}}
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
		if got := (&Sample{Due: start.Add(c.due), Latency: c.latency}).Meets(windows); got != c.want {
			t.Errorf("due after %v, %v long: %v", c.due, c.latency, got)
		}
	}
}

func TestCells(t *testing.T) {
	samples := []Sample{{IsGet: true}}
	for i := range 1000 {
		samples = append(samples, Sample{Latency: time.Duration(1000-i) * time.Millisecond})
	}
	all := func(*Sample) bool { return true }
	if got := Of(samples, false, all).Cells(); got != "| 1000 | 500.00 | 990.00 | 999.00 | 1000.00 |" {
		t.Errorf("cells are %q", got)
	}
	if got := Of(nil, false, all).Cells(); got != "| 0 | - | - | - | - |" {
		t.Errorf("cells of nothing are %q", got)
	}
}
