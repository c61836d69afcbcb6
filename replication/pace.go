package replication

import "time"

const (
	// lagRestMax is the longest rest between two readings of the log for followers that
	// lag. So they get at least about 30 MiB a second from the log, together, however
	// slow writes become meanwhile.
	lagRestMax = 50 * time.Millisecond

	// lagRestMin is the shortest one.
	lagRestMin = 2 * time.Millisecond

	// lagStuck is how long a write may take before it is taken to wait for a follower
	// that lags, which is not kept waiting then.
	lagStuck = 4 * lagRestMax

	// lagSpan is for how long after such a reading writes may suffer from it.
	lagSpan = time.Second
)

// pace is how fast a leader gives followers that lag what is in its log: so that writes
// take no more than 1.2 times what they take while nobody lags. It takes the time from
// when an entry is proposed until it is committed, of one entry after the other.
type pace struct {
	entry uint64 // that is timed; 0: none
	since time.Duration

	calm, lagging time.Duration // averages of the last few; 0: none yet
	lastFetch     time.Duration // when a reading for a follower that lags was begun
	rest          time.Duration // after it
}

// proposed is called with each entry of this leader.
func (p *pace) proposed(index uint64, mono time.Duration) {
	if p.entry == 0 {
		p.entry, p.since = index, mono
	}
}

// committed is called with what the leader knows to be committed.
func (p *pace) committed(index uint64, mono time.Duration) {
	if p.entry == 0 || index < p.entry {
		return
	}
	took := mono - p.since
	p.entry = 0
	if p.lastFetch == 0 || mono-p.lastFetch > lagSpan {
		p.calm, p.lagging, p.rest = average(p.calm, took), 0, 0
		return
	}
	p.lagging = average(p.lagging, took)
	if p.calm > 0 && p.lagging > p.calm*6/5 {
		p.rest = min(max(lagRestMin, 2*p.rest), lagRestMax)
	} else if p.rest = p.rest * 7 / 8; p.rest < lagRestMin {
		p.rest = 0
	}
}

// follow is called while this node does not lead.
func (p *pace) follow() { *p = pace{calm: p.calm} }

// mayFetch reports whether the log may be read now for a follower that lags, which then
// is to be done. urgent tells that writes may wait for what is read.
func (p *pace) mayFetch(mono time.Duration, urgent bool) bool {
	stuck := p.entry != 0 && mono-p.since > lagStuck
	if !urgent && !stuck && p.lastFetch != 0 && mono-p.lastFetch < p.rest {
		return false
	}
	p.lastFetch = mono
	return true
}

// average takes a value into the average of the last few.
func average(of, with time.Duration) time.Duration {
	if of == 0 {
		return with
	}
	return of + (with-of)/8
}
