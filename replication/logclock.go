package replication

import (
	"maps"
	"slices"
	"time"
)

const (
	// clockPatience is how long a new leader waits until it knows the wall clocks of a
	// majority. At a failover it knows them.
	clockPatience = time.Second

	// clockOffsetError is by how much the offset of log time may be wrong.
	clockOffsetError = 500 * time.Millisecond

	// clockOffsetFor is for how long it must have been, if the clocks of others had a part
	// in it: reports that were held up make them seem behind.
	clockOffsetFor = 2 * time.Second

	// clockOffsetMaxMs bounds an offset, as the engine does.
	clockOffsetMaxMs = 1 << 43

	// clockReportAge is how long a peer's report of its clock counts.
	clockReportAge = 5 * time.Second

	// clockDifferenceMax is by how much a peer's clock may differ from ours without a
	// warning, if it does for clockDifferenceFor: what was held up on its way tells
	// nothing.
	clockDifferenceMax = 2 * time.Second
	clockDifferenceFor = 10 * time.Second
)

// ClockDifference is news of a peer's wall clock, to be logged.
type ClockDifference struct {
	Peer  uint64
	Ahead time.Duration // of ours; negative: behind; 0: no longer far from it
}

// logClock stamps the entries that this node proposes while it leads. Log time never
// goes back, and runs as the monotonic clock does. How far it is ahead of the wall clocks
// is its offset, which is in the state. The wall clocks are the median of a
// majority's: one server whose clock is a year ahead has no part in it. See decision 44.
type logClock struct {
	lastNs   int64 // log time at lastMono, ns of Unix time; 0 before the first stamp
	lastMono time.Duration
	peers    map[uint64]clockReport

	settled bool          // log time is as late as it must be in this term
	until   time.Duration // when a new leader waits no more
	wrong   time.Duration // since when the offset has been wrong; 0: it is right

	bugs bugs
}

type clockReport struct {
	offsetMs int64 // the peer's wall clock less ours, at receipt
	at       time.Duration
	agreed   time.Duration // when it last was as ours, or was first told
	warned   bool
}

// report notes a peer's wall clock. It returns true when it differs for long from ours,
// and when that is over.
func (c *logClock) report(peer uint64, offsetMs int64, at time.Duration) (news bool) {
	if c.peers == nil {
		c.peers = make(map[uint64]clockReport)
	}
	old, known := c.peers[peer]
	r := clockReport{offsetMs, at, old.agreed, old.warned}
	if !known {
		r.agreed = at
	}
	switch differs := offsetMs > clockDifferenceMax.Milliseconds() || offsetMs < -clockDifferenceMax.Milliseconds(); {
	case !differs:
		r.agreed, r.warned = at, false
	case at-r.agreed >= clockDifferenceFor:
		r.warned = true
	}
	c.peers[peer] = r
	return r.warned != old.warned
}

// observe takes how much time has passed by both of this node's own clocks. When the one on
// the wall was set, what others have reported tells nothing any more.
func (c *logClock) observe(mono, wall time.Duration) {
	if (wall-mono).Abs() > clockOffsetError && !c.bugs.has(bugReportsKept) {
		clear(c.peers)
	}
}

// keep forgets the reports of those who have no vote any more.
func (c *logClock) keep(voters []uint64) {
	maps.DeleteFunc(c.peers, func(id uint64, _ clockReport) bool { return !slices.Contains(voters, id) })
}

// raise makes log time at least stampMs: the state has seen it.
func (c *logClock) raise(stampMs int64, mono time.Duration) {
	if ns := stampMs * int64(time.Millisecond); ns > c.lastNs {
		c.lastNs, c.lastMono = ns, mono
	}
}

// begin begins a term in which this node leads.
func (c *logClock) begin(mono, patience time.Duration) {
	c.settled, c.until, c.wrong = false, mono+patience, 0
}

// offsetKnown is whether a leader knows the offset.
type offsetKnown uint8

const (
	offsetNow   offsetKnown = iota
	offsetSoon              // when more is applied
	offsetNever             // the state is in quarantine
)

// settle makes log time as late as the wall clocks tell with the offset: no server may
// have run for a while. It reports false while this node should not stamp anything,
// since too few clocks are known, for a while, or not the offset, which is known once all
// that earlier leaders have made of it is applied: that may take long, and what is proposed
// meanwhile could not be applied sooner. voters is the size of the cluster.
func (c *logClock) settle(mono time.Duration, wall time.Time, voters int, offsetMs int64, known offsetKnown) (settled bool) {
	if c.settled {
		return true
	}
	median, agreed := c.median(mono, voters)
	switch {
	case known == offsetSoon, mono < c.until && (!agreed || known != offsetNow):
		return false
	}
	c.settled = true
	if agreed && known == offsetNow && !c.bugs.has(bugTimeStood) || c.lastNs == 0 {
		c.raise(wall.Add(median).UnixMilli()+offsetMs, mono)
	}
	return true
}

// stamp returns the log time in ms of Unix time.
func (c *logClock) stamp(mono time.Duration) int64 {
	if elapsedNs := int64(mono - c.lastMono); elapsedNs > 0 {
		c.lastNs, c.lastMono = c.lastNs+elapsedNs, mono
	}
	return c.lastNs / int64(time.Millisecond)
}

// correct returns another offset than the given one, if that is wrong.
func (c *logClock) correct(mono time.Duration, wall time.Time, voters int, offsetMs int64) (ms int64, wrong bool) {
	median, agreed := c.median(mono, voters)
	ms = min(max(c.stamp(mono)-wall.Add(median).UnixMilli(), -clockOffsetMaxMs), clockOffsetMaxMs)
	if d := time.Duration(ms-offsetMs) * time.Millisecond; !agreed || d.Abs() <= clockOffsetError {
		c.wrong = 0
		return 0, false
	}
	if c.wrong == 0 {
		c.wrong = mono
	}
	return ms, voters == 1 || mono-c.wrong >= clockOffsetFor
}

// median returns how far the wall clocks are ahead of ours, ours included, and whether a
// majority of the voters took part. It is the median if all did. Otherwise it is a lower
// one, which errs towards keeping items: at most that of a clock that is right, if less than half
// of all the voters' clocks are wrong. So it is with an even number.
func (c *logClock) median(mono time.Duration, voters int) (median time.Duration, agreed bool) {
	if c.bugs.has(bugClockOfOne) {
		return 0, true
	}
	offsets := make([]int64, 1, 8) // our own offset is 0
	for _, r := range c.peers {
		if mono-r.at <= clockReportAge {
			offsets = append(offsets, r.offsetMs)
		}
	}
	if len(offsets) <= voters/2 {
		return 0, false
	}
	slices.Sort(offsets)
	wrongMax := (voters - 1) / 2
	at := min(len(offsets)-wrongMax-1, (len(offsets)-1)/2)
	if c.bugs.has(bugMedianOfSome) {
		at = (len(offsets) - 1) / 2
	}
	return time.Duration(offsets[at]) * time.Millisecond, true
}
