package server

// totals are the counts of all loops and connections, and the state with them.
type totals struct {
	counts   [counterCount]uint64
	total    uint64 // connections accepted
	rejected uint64 // connections refused
	state    State
}

// totals sums the counts up.
func (s *Server) totals() totals {
	conns := s.engine.Counts()
	t := totals{total: conns.Accepted, rejected: conns.Refused, state: s.backend.State()}
	for _, l := range s.loops {
		for k := range t.counts {
			t.counts[k] += l.counters.published[k].Load()
		}
	}
	return t
}

// totalsSinceReset returns the counts since the last "stats reset". Those of the
// state are the cluster's, but a reset is this server's own.
func (s *Server) totalsSinceReset() totals {
	s.resetMu.Lock()
	defer s.resetMu.Unlock()
	t := s.totals()
	t.total -= s.base.total
	t.rejected -= s.base.rejected
	for k := range t.counts {
		t.counts[k] -= s.base.counts[k]
	}
	t.state = t.state.since(&s.base.state)
	return t
}

// resetStats makes all counts start at zero again.
func (s *Server) resetStats() {
	s.resetMu.Lock()
	defer s.resetMu.Unlock()
	s.base = s.totals()
}
