package replication

import "time"

// simClock is the monotonic clock of a node. Its zero value shows the simulation's
// time.
type simClock struct {
	from, origin time.Duration // it showed origin when the simulation's time was from
	slow         float64       // how much less than a second it shows after a second
}

// restart lets the clock begin anew, as it does with a process: anywhere. Its rate is
// that of the machine, and stays.
func (c *simClock) restart(s *simulation) {
	if s.trouble == nil {
		return
	}
	c.from, c.origin = s.now, time.Duration(s.rng.Int64N(int64(s.trouble.originMax)))
}

// at returns what the clock shows at a time of the simulation.
func (c *simClock) at(now time.Duration) time.Duration {
	d := now - c.from
	return c.origin + d - time.Duration(c.slow*float64(d))
}

// setSlow changes the rate. What the clock shows goes on from there.
func (c *simClock) setSlow(now time.Duration, slow float64) {
	c.from, c.origin, c.slow = now, c.at(now), slow
}

// lasts returns how long it takes until the clock shows d more.
func (c *simClock) lasts(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*c.slow/(1-c.slow))
}
