//go:build linux

package steady

import (
	"fmt"
	"slices"
	"time"
)

// Window is a stretch of time.
type Window struct{ From, To time.Time }

// Meets reports whether some of the time between when a request was due and its answer
// is in one of the windows.
func (s *Sample) Meets(windows []Window) bool {
	return slices.ContainsFunc(windows, func(w Window) bool { return s.Due.Before(w.To) && s.Due.Add(s.Latency).After(w.From) })
}

// Latencies are those of some requests, ascending.
type Latencies []time.Duration

// Of returns the latencies of the gets or sets that a function picks.
func Of(samples []Sample, isGet bool, pick func(*Sample) bool) Latencies {
	var l Latencies
	for i := range samples {
		if s := &samples[i]; s.IsGet == isGet && pick(s) {
			l = append(l, s.Latency)
		}
	}
	slices.Sort(l)
	return l
}

// At returns a quantile, 0 if there are none.
func (l Latencies) At(permille int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	rank := (len(l)*permille + 999) / 1000
	return l[max(rank, 1)-1]
}

// Cells are the cells of a table's row: how many there are, and p50, p99, p99.9 and the
// highest in ms.
func (l Latencies) Cells() string {
	text := fmt.Sprintf("| %d |", len(l))
	for _, permille := range []int{500, 990, 999, 1000} {
		if len(l) == 0 {
			text += " - |"
			continue
		}
		text += fmt.Sprintf(" %.2f |", float64(l.At(permille).Microseconds())/1000)
	}
	return text
}

// CellNames are the names above Cells, and the line below them.
const (
	CellNames = "| requests | p50 ms | p99 ms | p99.9 ms | max ms |"
	CellLine  = "| ---: | ---: | ---: | ---: | ---: |"
)
