package server

import (
	"fmt"
	"testing"
	"time"

	"raftcached/internal/measure"
	"raftcached/protocol"
)

// busySpells is a backend that has waited for everything as often as is kept, most of it long ago.
func busySpells() func(took time.Duration) measure.Causes {
	var spells [4]measure.Spells
	const now = time.Hour
	for i := range spells {
		for at := now - 10*time.Second; at < now; at += 30 * time.Millisecond {
			spells[i].Add(at, at+5*time.Millisecond)
		}
	}
	return func(took time.Duration) (c measure.Causes) {
		for i := range spells {
			c[i] = spells[i].Within(now-took, now)
		}
		return c
	}
}

// slowWrites returns a loop whose writes are all slow, and what notes and answers n of them that
// have begun in so many turns.
func slowWrites(n, turns int) (l *loop, batch func()) {
	f := openFake(silent{}, "")
	l = f.c.loop
	now := time.Hour
	l.options.SlowTime, l.options.clock, l.options.Causes = time.Millisecond, func() time.Duration { return now }, busySpells()
	req := &protocol.Request{Command: protocol.Set, Key: []byte("a key of 20 bytes...")}
	waiters := make([]writeWaiter, n)
	return l, func() {
		for i := range waiters {
			if i%(n/turns) == 0 {
				now += time.Millisecond
				l.timing.fresh = false
			}
			f.c.noteWrite(req, &waiters[i])
		}
		now += 100 * time.Millisecond
		l.timing.fresh = false
		for i := range waiters {
			l.timing.writeDone(&waiters[i])
		}
		l.timing.end()
	}
}

// TestLastSlowWritesAreKept: of many that end together only those that nothing pushes out are built,
// each with what it has waited for, and the backend is asked once for those that have begun together.
func TestLastSlowWritesAreKept(t *testing.T) {
	const n, turns = 4096, 64
	l, batch := slowWrites(n, turns)
	asked := 0
	l.options.Causes = func(took time.Duration) (c measure.Causes) {
		asked++
		c[measure.CauseDisk] = took - 100*time.Millisecond // for the last turn, of which it is 1 ms less each
		return c
	}
	batch()
	slow, seen := l.server.Slow()
	if seen != n || len(slow) != measure.SlowMax || asked != measure.SlowMax*turns/n {
		t.Fatalf("%d are kept of %d, and the backend was asked %d times", len(slow), seen, asked)
	}
	for i, s := range slow {
		want := time.Duration(i/(n/turns)) * time.Millisecond
		if s.Took != want+100*time.Millisecond || s.Causes[measure.CauseDisk] != want || s.Key != "a key of 20 bytes..." {
			t.Errorf("number %d is %q, took %v for %v, want %v more than 100 ms", i, s.Key, s.Took, s.Causes, want)
		}
	}
	if l.timing.names.n != 0 {
		t.Errorf("%d bytes of keys are left", l.timing.names.n)
	}
	l.options.Causes = busySpells()
	if n := testing.AllocsPerRun(10, batch); n != 0 {
		t.Errorf("%v allocations for many slow writes, want 0", n)
	}
}

// BenchmarkSlowWriteTimed is what measuring adds to writes of which each is slow.
func BenchmarkSlowWriteTimed(b *testing.B) {
	for _, size := range []struct{ n, turns int }{{16, 1}, {50, 50}, {4096, 64}} {
		b.Run(fmt.Sprintf("%d in %d turns", size.n, size.turns), func(b *testing.B) {
			_, batch := slowWrites(size.n, size.turns)
			b.ReportAllocs()
			for b.Loop() {
				batch()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size.n), "ns/write")
		})
	}
}
