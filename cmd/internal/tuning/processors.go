package tuning

import (
	"os"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
)

// governProcessors begins to govern this process, for as long as it runs. It does nothing if
// the environment says how many processors are to be used.
//
// A goroutine that wakes another has Go's scheduler wake a thread if a processor is free: the
// thread looks for work, and sleeps again. A server hands each batch of writes from one
// goroutine to the next, each for a few microseconds, so while one processor is enough for
// all of them, a second one only costs (decision 66).
func governProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		go govern(governorOf(runtime.GOMAXPROCS(0)))
	}
}

func govern(g governor) {
	m := newMeter()
	looks := time.NewTicker(period)
	defer looks.Stop()
	for periods := 1; ; {
		l, before := m.read(<-looks.C), g.allowed
		for range periods {
			g.next(l)
		}
		if g.allowed != before {
			runtime.GOMAXPROCS(g.allowed)
		}
		if rest := g.rest(l); rest != periods {
			periods = rest
			looks.Reset(time.Duration(periods) * period)
		}
	}
}

// meter measures what a governor is told.
type meter struct {
	waits []metrics.Sample // how long goroutines have waited for a processor
	old   []uint64         // its counts of before
	used  time.Duration    // processor time
	at    time.Time
}

func newMeter() *meter {
	m := &meter{waits: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
	m.read(time.Now())
	return m
}

// read returns what has happened since the last call.
func (m *meter) read(now time.Time) load {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	l := load{busy: float64(used-m.used) / float64(max(now.Sub(m.at), 1)), wait: m.meanWait()}
	m.used, m.at = used, now
	return l
}

// meanWait returns for how long, on average, the goroutines that have run since the last
// call had waited to run. The runtime measures one in eight.
func (m *meter) meanWait() time.Duration {
	metrics.Read(m.waits)
	h := m.waits[0].Value.Float64Histogram()
	if m.old == nil {
		m.old = make([]uint64, len(h.Counts))
	}
	var n, seconds float64
	for i, count := range h.Counts {
		if fresh := float64(count - m.old[i]); fresh > 0 {
			n += fresh
			seconds += fresh * max(h.Buckets[i], 0)
		}
		m.old[i] = count
	}
	return time.Duration(seconds / max(n, 1) * float64(time.Second))
}
