package measure

import (
	"sync"
	"time"
)

const (
	spellsKept = 256

	// spellMin is the shortest spell that is kept: what is shorter makes nothing slow.
	spellMin = 2 * time.Millisecond
)

// Spells are the last times in which something lasted, as a disk that syncs. Times are
// those of one monotonic clock.
type Spells struct {
	mu    sync.Mutex
	ring  [spellsKept]spell
	n     uint64        // they end one after the other
	since time.Duration // of the one that lasts; -1: none
	lasts bool
}

type spell struct{ from, to time.Duration }

// Begin notes that it begins, if it does not last already.
func (s *Spells) Begin(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lasts {
		s.since, s.lasts = now, true
	}
}

// BeganAt notes that it has lasted longer than was known.
func (s *Spells) BeganAt(from time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts {
		s.since = min(s.since, from)
	}
}

// End notes that it ends, if it lasts.
func (s *Spells) End(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts {
		s.lasts = false
		s.keep(s.since, now)
	}
}

// Add notes a time that is over. None that was noted before may end later.
func (s *Spells) Add(from, to time.Duration) {
	if to-from < spellMin {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(from, to)
}

func (s *Spells) keep(from, to time.Duration) {
	if to-from >= spellMin {
		s.ring[s.n%spellsKept] = spell{from, to}
		s.n++
	}
}

// Within is how long it lasted between two times, as far as that is kept.
func (s *Spells) Within(from, to time.Duration) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(a, b time.Duration) { sum += max(0, min(b, to)-max(a, from)) }
	for i := range min(s.n, spellsKept) { // backwards, as what is asked for is mostly the last moment
		last := &s.ring[(s.n-1-i)%spellsKept]
		if last.to <= from {
			break
		}
		add(last.from, last.to)
	}
	if s.lasts {
		add(s.since, to)
	}
	return sum
}
