// Package seldom keeps what happens again and again from filling the server log: the same is
// told once in a Period, with how often it has happened. News decides that, Logger writes lines
// so, and Acceptor and Listener go on while the system hands no connections over.
package seldom

import (
	"sync"
	"time"
)

const (
	// Period is how often the same is told, at most.
	Period = time.Minute

	// ThingsMax bounds the things that are remembered and, in a period, told: strangers may
	// choose what they are.
	ThingsMax = 64
)

// News remembers what was told. The zero value has told nothing. Any goroutine may use it.
type News[T comparable] struct {
	mu    sync.Mutex
	began time.Time // of the period
	told  map[T]*told
}

type told struct {
	at    time.Time
	times int // since then
}

// Tell reports whether a thing that has happened is to be told, and how often it has happened
// since it last was.
func (n *News[T]) Tell(thing T, now time.Time) (times int, tell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.told[thing]
	switch {
	case before != nil && now.Sub(before.at) < Period:
		before.times++
		return 0, false
	case before != nil:
		times = before.times
	case len(n.told) >= ThingsMax && now.Sub(n.began) < Period:
		return 0, false
	case len(n.told) >= ThingsMax:
		n.told = nil
	}
	if n.told == nil {
		n.told, n.began = map[T]*told{}, now
	}
	n.told[thing] = &told{at: now}
	return times + 1, true
}
