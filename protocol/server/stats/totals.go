package stats

// totals are the counts of all loops and connections, and the state with them.
type totals struct {
	counts [counterCount]uint64
	conns  Connections
	state  State
}

// sinceStart returns the counts since the server started.
func (c *Collector) sinceStart() totals {
	t := totals{conns: c.source.Conns(), state: c.source.State()}
	for _, loop := range c.source.Loops {
		for k := range t.counts {
			t.counts[k] += loop.published[k].Load()
		}
	}
	return t
}

// SinceStart returns the counts since the server started, by their names in plain stats:
// Reset does not change them.
func (c *Collector) SinceStart() (map[string]uint64, Connections) {
	t := c.sinceStart()
	counts := make(map[string]uint64, counterCount)
	for k, n := range t.counts {
		counts[Counter(k).name()] = n
	}
	return counts, t.conns
}

// totals returns the counts since the last Reset. The state is the cluster's, but
// a reset is this server's own.
func (c *Collector) totals() totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.sinceStart()
	t.conns.Accepted -= c.base.conns.Accepted
	t.conns.Refused -= c.base.conns.Refused
	for k := range t.counts {
		t.counts[k] -= c.base.counts[k]
	}
	t.state = t.state.since(&c.base.state)
	return t
}

// Reset makes all counts start at zero again.
func (c *Collector) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = c.sinceStart()
	c.source.Prefixes.Reset()
}
