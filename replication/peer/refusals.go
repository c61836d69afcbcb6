package peer

import (
	"sync"
	"time"
)

const (
	// refusalPeriod is how often the same refusal of the same server is logged.
	refusalPeriod = time.Minute

	// refusalsMax bounds the refusals that are remembered and, in a period, logged: who is
	// refused may call itself any server.
	refusalsMax = 64
)

// refusals remembers which refusals were logged: a peer that is refused comes again many
// times a second.
type refusals struct {
	mu    sync.Mutex
	began time.Time // of the period
	said  map[refusal]*saidRefusal
}

type refusal struct {
	serverID int
	reason   string
}

type saidRefusal struct {
	at    time.Time
	times int // since then
}

// news reports whether a refusal is to be logged, and how often it came since it last was.
func (r *refusals) news(serverID int, reason string, now time.Time) (times int, news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := refusal{serverID, reason}
	s := r.said[key]
	switch {
	case s != nil && now.Sub(s.at) < refusalPeriod:
		s.times++
		return 0, false
	case s != nil:
		times = s.times
	case len(r.said) >= refusalsMax && now.Sub(r.began) < refusalPeriod:
		return 0, false
	case len(r.said) >= refusalsMax:
		r.said = nil
	}
	if r.said == nil {
		r.said, r.began = map[refusal]*saidRefusal{}, now
	}
	r.said[key] = &saidRefusal{at: now}
	return times + 1, true
}
