package replication

// settleClock reports whether this leader may stamp entries.
func (c *Core) settleClock() bool {
	known := offsetSoon
	switch {
	case c.appliedTerm == c.term || c.cfg.bugs.has(bugOffsetUnknown): // all that earlier leaders have made of it
		known = offsetNow
	case c.guard.verdict != VerdictOK:
		known = offsetNever
	}
	return c.clock.settle(c.mono, c.wall, len(c.members.Conf.GetVoters()), c.cfg.OffsetMs(), known)
}

// tickClock has the leader correct the offset of log time when that is wrong. It does so
// by an entry, so that all nodes convert times on the wall alike.
func (c *Core) tickClock() {
	if c.cfg.bugs.has(bugOffsetKept) || !c.leads() || !c.clock.settled || c.appliedTerm != c.term || c.guard.verdict != VerdictOK || c.formDue || c.transferee != 0 || c.mono < c.correctDue {
		return
	}
	ms, wrong := c.clock.correct(c.mono, c.wall, len(c.members.Conf.GetVoters()), c.cfg.OffsetMs())
	if !wrong {
		return
	}
	sub := appendSubBatch(nil, &SubBatch{Origin: clusterOrigin, Count: 1, Ops: c.cfg.Correction(ms)})
	if c.cfg.bugs.has(bugTimeFollows) {
		c.clock.raise(c.wall.UnixMilli(), c.mono)
	}
	if c.proposeEntry(encodeEntry(c.stamp(), nil, 1, sub)) {
		c.correctDue = c.mono + clockSignalGap // it may take as long until it is applied
		if d := ms - c.toldOffset; c.toldTerm != c.term || d > clockOffsetError.Milliseconds() || d < -clockOffsetError.Milliseconds() {
			c.toldOffset, c.toldTerm, c.eff.Offset = ms, c.term, &ms
		}
	}
}
