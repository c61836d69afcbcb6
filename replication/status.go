package replication

import "go.etcd.io/raft/v3"

// Status is a node's view of the cluster.
type Status struct {
	ID, Leader, Term uint64 // Leader is 0 while none is known
	State            raft.StateType
	Commit, Applied  uint64
	LastIndex        uint64

	// ReadIndex is the highest index that a leader has named to confirm reads. It was
	// committed then, which this node may not have known yet.
	ReadIndex uint64

	// Alone tells that this node is the only voter and has applied all that was
	// ever acknowledged: its reads need no confirmation.
	Alone bool

	// Removed tells that this node is no member any more, that its data folder is
	// retired, or that a peer has said so: it serves no clients.
	Removed bool

	// MembersVersion is that of the members as of Applied. Replica.Members may show
	// earlier ones, until the log says so durably.
	MembersVersion uint64

	// Holders is how many nodes this one, as the leader, has granted a read lease that
	// has not ended; HolderWaits tells how writes have waited for such.
	Holders     int
	HolderWaits WaitStats

	Verdict Verdict // on this node's state

	// Refusing is why this node refuses new writes, if it does, besides the verdict.
	Refusing Refusal

	// Digests are this node's digests of recent indexes, ascending; nil: none yet.
	// The list is never changed.
	Digests *[]StateDigest
}

// Status returns the status as of the last Ready.
func (c *Core) Status() Status {
	return Status{
		ID: c.cfg.ID, Leader: c.leader, Term: c.term, State: c.state,
		Commit: c.commit, Applied: c.applied, LastIndex: c.lastIndex, ReadIndex: c.readIndex, Alone: c.alone(),
		Removed: c.removed, MembersVersion: c.members.Version, Verdict: c.guard.verdict, Digests: c.guard.digests, Refusing: c.refusal(),
		Holders: len(c.holders.list), HolderWaits: c.holders.waits,
	}
}
