package node

import (
	"testing"
	"time"
)

// queue is a cluster that applies a number of bytes a second, in the order in which they
// come, and what loops have in flight there.
type queue struct {
	rate    float64 // bytes a second
	delay   time.Duration
	now     time.Duration
	done    float64 // bytes that could be applied by now, beyond those that were
	waiting []flight
	flying  []flight // applied, and on their way back
}

type flight struct {
	loop, bytes      int
	submitted, ready time.Duration
}

// step applies what can be in a time, and returns what has come back.
func (q *queue) step(d time.Duration) (back []flight) {
	q.now += d
	q.done += q.rate * d.Seconds()
	for len(q.waiting) > 0 && q.done >= float64(q.waiting[0].bytes) {
		f := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.done -= float64(f.bytes)
		f.ready = q.now + q.delay
		q.flying = append(q.flying, f)
	}
	if len(q.waiting) == 0 {
		q.done = 0 // it had nothing to do
	}
	for len(q.flying) > 0 && q.flying[0].ready <= q.now {
		back = append(back, q.flying[0])
		q.flying = q.flying[1:]
	}
	return back
}

// windowRun is what came of an overload.
type windowRun struct {
	applied float64 // share of what could be
	late    int     // sub-batches that took longer than a request waits
	longest time.Duration
	least   int // bytes that a loop has got
}

const windowTimeout = 2 * time.Second

// overload has loops send as much as they may for some time, in sub-batches of some
// bytes. change is called at each step.
func overload(q *queue, loops, size int, d time.Duration, change func()) (r windowRun) {
	windows, inFlight, got := make([]window, loops), make([]int, loops), make([]int, loops)
	for i := range windows {
		windows[i] = newWindow(windowTimeout)
	}
	const step = time.Millisecond
	could, done := 0.0, 0
	for q.now < d {
		change()
		for _, f := range q.step(step) {
			windows[f.loop].answered(f.bytes, f.submitted, q.now)
			inFlight[f.loop] -= f.bytes
			got[f.loop] += f.bytes
			done += f.bytes
			took := q.now - f.submitted
			r.longest = max(r.longest, took)
			if took > windowTimeout {
				r.late++
			}
		}
		for i := range windows {
			for windows[i].takes(inFlight[i], size) {
				inFlight[i] += size
				q.waiting = append(q.waiting, flight{loop: i, bytes: size, submitted: q.now})
			}
		}
		could += q.rate * step.Seconds()
	}
	r.applied, r.least = float64(done)/could, got[0]
	for _, n := range got {
		r.least = min(r.least, n)
	}
	return r
}

// TestWindow: whatever a cluster's speed, and however many loops share it, they keep it
// busy, nothing takes as long as a request may wait, and none of them is left out.
func TestWindow(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{300e3, 3e6, 30e6, 300e6} {
		for _, loops := range []int{1, 3, 12} {
			if float64(loops*windowBytesFirst)/rate > windowTimeout.Seconds() {
				continue // what they may have at first takes too long
			}
			size := int(max(150, rate/100e3)) // one write, or those of a turn
			const d = 10 * time.Second
			r := overload(&queue{rate: rate, delay: 2 * time.Millisecond}, loops, size, d, func() {})
			fair := rate * d.Seconds() / float64(loops)
			if r.applied < 0.95 || r.late > 0 || float64(r.least) < fair/3 {
				t.Errorf("%.0f bytes/s, %d loops: %+v, a fair share is %.0f", rate, loops, r, fair)
			}
		}
	}
}

// TestWindowFollowsTheSpeed: when a cluster becomes ten times as slow, what is in flight takes
// long, once. When it is fast again it has as much to do as it can within a second.
func TestWindowFollowsTheSpeed(t *testing.T) {
	t.Parallel()
	const fast, slow = 30e6, 3e6
	q := &queue{rate: fast, delay: 2 * time.Millisecond}
	r := overload(q, 3, 300, 60*time.Second, func() {
		q.rate = fast
		if q.now/(10*time.Second)%2 == 1 {
			q.rate = slow
		}
	})
	if r.applied < 0.9 || r.longest > 8*time.Second {
		t.Errorf("%+v", r)
	}
	q = &queue{rate: slow, delay: 2 * time.Millisecond}
	if r := overload(q, 3, 300, 10*time.Second, func() {}); r.late > 0 || r.applied < 0.95 {
		t.Errorf("a slow one: %+v", r)
	}
}
