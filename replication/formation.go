package replication

// form makes sure that this term's first entry with data forms the state, unless
// the state is formed already as far as it is applied here. It reports whether
// other entries may follow.
//
// Invariant: the first entry with data of the log is a formation. Its leader has
// applied nothing, so asked for it, and proposes nothing before it; every later
// leader has that entry in its log, or is the first again. More of them may
// follow, by leaders who had not applied the first one: they have no effect.
func (c *Core) form() bool {
	if !c.formDue {
		return true
	}
	if ops := c.cfg.Formation(); ops != nil {
		sub := appendSubBatch(nil, &SubBatch{Origin: clusterOrigin, Count: 1, Ops: ops})
		if !c.proposeEntry(encodeEntry(c.stamp(), nil, 1, sub)) {
			return false
		}
	}
	c.formDue = false
	return true
}
