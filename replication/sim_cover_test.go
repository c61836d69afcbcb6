package replication

// addReads adds up what runs of TestSimulatedReads covered.
func (s *simStats) addReads(run *simStats) {
	for _, sum := range []struct {
		to   *int
		more int
	}{
		{&s.leased, run.leased},
		{&s.waited, run.waited},
		{&s.behind, run.behind},
		{&s.behindOwn, run.behindOwn},
		{&s.behindNone, run.behindNone},
		{&s.reads, run.reads},
		{&s.grants, run.grants},
		{&s.returned, run.returned},
		{&s.holdersInstalled, run.holdersInstalled},
		{&s.rested, run.rested},
		{&s.transfers, run.transfers},
		{&s.admitted, run.admitted},
		{&s.removed, run.removed},
		{&s.switched, run.switched},
		{&s.acked, run.acked},
		{&s.crashes, run.crashes},
		{&s.partitions, run.partitions},
	} {
		*sum.to += sum.more
	}
}

// coversReads reports whether reads were answered in each way, leases were granted, given
// back and lost to a snapshot, leadership was moved, and members and leases were changed.
func (s *simStats) coversReads() bool {
	return s.leased > 0 && s.waited > 0 && s.behind > 0 && s.behindOwn > 0 && s.behindNone > 0 && s.reads > 0 && s.grants > 0 && s.returned > 0 && s.holdersInstalled > 0 && s.rested > 0 &&
		s.transfers > 0 && s.admitted > 0 && s.removed > 0 && s.switched > 0 && s.acked > 0 && s.crashes > 0 && s.partitions > 0
}
