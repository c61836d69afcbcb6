package replication

import (
	"maps"
	"slices"
	"time"
)

const (
	// clockJumpMin is how far log time must be behind the cluster's clocks
	// before it jumps to them; less is made up for by slewing.
	clockJumpMin = 2 * time.Second

	// clockSlewDivisor bounds slewing to a tenth of the time that passes.
	clockSlewDivisor = 10

	// clockReportAge is how long a peer's report of its clock counts.
	clockReportAge = 5 * time.Second

	// clockDifferenceMax is by how much a peer's clock may differ from ours without a
	// warning, if it does for clockDifferenceFor: what was held up on its way tells
	// nothing.
	clockDifferenceMax = clockJumpMin
	clockDifferenceFor = 10 * time.Second
)

// ClockDifference is news of a peer's wall clock, to be logged.
type ClockDifference struct {
	Peer  uint64
	Ahead time.Duration // of ours; negative: behind; 0: no longer far from it
}

// logClock stamps the entries that this node proposes while it leads. Log time
// never goes back, advances by the monotonic clock, and slews towards the wall
// clock. It jumps forward only if the median of the clocks of a majority says
// so: one leader whose clock is a year ahead would expire everything, and then
// freeze time for a year.
type logClock struct {
	lastNs   int64 // log time at lastMono, ns of Unix time; 0 before the first stamp
	lastMono time.Duration
	peers    map[uint64]clockReport
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

// stamp returns the log time in ms of Unix time. voters is the size of the
// cluster.
func (c *logClock) stamp(mono time.Duration, wall time.Time, voters int) int64 {
	wallNs := wall.UnixNano()
	if c.lastNs == 0 { // an empty cluster: no expiry depends on it yet
		c.lastNs, c.lastMono = wallNs, mono
	}
	if elapsedNs := int64(mono - c.lastMono); elapsedNs > 0 {
		t := c.lastNs + elapsedNs
		offsetMs, agreed := c.median(mono, voters)
		behindNs := wallNs + offsetMs*int64(time.Millisecond) - t
		slewNs := elapsedNs / clockSlewDivisor
		switch {
		case agreed && behindNs > int64(clockJumpMin):
			t += behindNs
		case behindNs > 0:
			t += min(behindNs, slewNs)
		default:
			t -= min(-behindNs, slewNs)
		}
		c.lastNs, c.lastMono = t, mono
	}
	return c.lastNs / int64(time.Millisecond)
}

// median returns the median offset of the clocks from ours, ours included, and
// whether a majority of the voters took part. With an even number it is the
// lower middle, which errs towards keeping items.
func (c *logClock) median(mono time.Duration, voters int) (offsetMs int64, agreed bool) {
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
	return offsets[(len(offsets)-1)/2], true
}
