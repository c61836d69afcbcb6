package node

import (
	"math"
	"time"
)

const (
	// windowBytesMin is the least that a loop may have in flight: about a hundred small writes.
	windowBytesMin = 16 << 10

	// windowBytesFirst is what it may have before it knows how long that takes.
	windowBytesFirst = 1 << 20

	// windowShare is which part of the time that a request waits at most its write may be
	// in flight: a queue that is longer is not joined.
	windowShare = 2

	// windowSlow is how much less it grows when what is in flight takes more than half of
	// what it may.
	windowSlow = 16
)

// window is how many bytes of operations a loop may have in flight: as many as the
// cluster applies in half of the time that a request waits at most. How fast it
// is changes with the machine, the disk, and what others of its servers ask for, so
// it is told from how long sub-batches took, once each time around: the quickest of them
// tells how long the queue was, as in CoDel. (The others may have met a pause of a process
// or of a disk, which is no queue.) While that is less than half of what is allowed the
// window grows by what was answered, so that it may double each time around; when it is
// more the window shrinks in proportion.
//
// The loop's goroutine alone uses it.
type window struct {
	target time.Duration // what a sub-batch may take
	bytes  int

	full     bool          // something had no room in this round
	began    time.Duration // of this round, which ends with the first sub-batch that was submitted in it
	answers  int           // bytes that were answered in it
	quickest time.Duration // of them
}

func newWindow(requestTimeout time.Duration) window {
	return window{target: requestTimeout / windowShare, bytes: windowBytesFirst, quickest: math.MaxInt64}
}

// takes reports whether a write has room beside what is in flight. One alone always has.
func (w *window) takes(inFlight, size int) bool {
	if inFlight == 0 || inFlight+size <= w.bytes {
		return true
	}
	w.full = true
	return false
}

// answered takes how long a sub-batch of some bytes took that was submitted at a time, and is
// answered now.
func (w *window) answered(bytes int, submitted, now time.Duration) {
	w.answers += bytes
	w.quickest = min(w.quickest, now-submitted)
	if submitted < w.began {
		return
	}
	switch {
	case w.quickest <= w.target/2 && w.full:
		w.bytes = min(w.bytes+w.answers, loopBytesMax)
	case w.quickest <= w.target && w.full: // what was shrunk for a pause comes back, slowly
		w.bytes = min(w.bytes+w.answers/windowSlow, loopBytesMax)
	case w.quickest > w.target:
		w.bytes = max(windowBytesMin, int(float64(w.bytes)*max(0.25, float64(w.target)/float64(w.quickest)*0.9)))
	}
	w.full, w.began, w.answers, w.quickest = false, now, 0, math.MaxInt64
}
