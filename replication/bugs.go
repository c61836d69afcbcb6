package replication

// bugs are faults that tests build into the step machines, to see that the
// simulation finds them. The set is empty outside of tests, and nothing outside
// of this package can change it.
type bugs uint64

const (
	// bugEarlyCut cuts the log as soon as a snapshot is begun.
	bugEarlyCut bugs = 1 << iota
	// bugPartOrder writes two parts of a snapshot in the wrong order.
	bugPartOrder
	// bugInstallBeforeSync tells raft of a received snapshot before its file is
	// durable.
	bugInstallBeforeSync
	// bugAckBeforeSync acknowledges an installed snapshot before the log begins
	// there durably.
	bugAckBeforeSync
	// bugServeInQuarantine sends a state that a majority contradicts to peers.
	bugServeInQuarantine
	// bugDoubleShip sends a peer a snapshot while another is on its way to it.
	bugDoubleShip
	// bugAnswersAfterInstall gives the answers of what was applied before an
	// installed snapshot after the report of the snapshot.
	bugAnswersAfterInstall
	// bugStalledCampaign lets a node become the leader while its disk stands still.
	bugStalledCampaign
	// bugPromotedEarly gives a learner a vote before it has caught up.
	bugPromotedEarly
	// bugRetiredHeard hears what a retired folder sends.
	bugRetiredHeard
	// bugRaftIDReused takes the counter of raft ids from the members that are left.
	bugRaftIDReused
	// bugChangeLate has raft change its configuration only with the next report.
	bugChangeLate
	// bugMembersForgotten leaves the members out of snapshots.
	bugMembersForgotten
	// bugMadeTwice has a leader make a change of whatever members there are, when
	// it is asked for again.
	bugMadeTwice
	// bugToldEarly tells a server that it was removed before the members are settled.
	bugToldEarly
	// bugCommitKept has a removed server keep to itself what is committed.
	bugCommitKept
	// bugOutcomeEarly tells who asked for a change before it is settled.
	bugOutcomeEarly
	// bugJoinsUnconfirmed refuses empty folders by members that are not made known yet. The
	// simulation has it.
	bugJoinsUnconfirmed

	// bugClockFirst reads the clock before the inputs are taken. The simulation has it
	// and the four that follow.
	bugClockFirst
	// bugAppliedEarly tells event loops of entries as applied before they are.
	bugAppliedEarly
	// bugBeforeLeaseForgotten takes no key for changed by what came to the log before
	// the node had a lease.
	bugBeforeLeaseForgotten
	// bugDueIgnored lets items expire by what is applied alone.
	bugDueIgnored
	// bugFlushUnmarked takes a flush_all for a change of no key.
	bugFlushUnmarked
	// bugStartUnbound lets a node vote that has promised not to, and was started again.
	bugStartUnbound
	// bugLeaderUnbound lets a leader that has stepped down vote while its lease may
	// still be relied on.
	bugLeaderUnbound
	// bugLeaseOverTransfer keeps the lease of a leader that has told a voter to take
	// over.
	bugLeaseOverTransfer
	// bugLeaseIntoTerm keeps the lease of a leader that is none any more.
	bugLeaseIntoTerm
	// bugPromiseWhenSwitched has a node promise only once it has applied that there are
	// leases.
	bugPromiseWhenSwitched
	// bugHoldersForgotten lets writes wait for holders only while new ones may be granted
	// a lease.
	bugHoldersForgotten
	// bugLearnerSupports counts learners for the leader's lease.
	bugLearnerSupports

	// bugGrantUnbounded grants a read lease for longer than the leader's lasts.
	bugGrantUnbounded
	// bugGoalIsCommit lets a holder use its lease once it has what was committed when
	// it became one.
	bugGoalIsCommit
	// bugGoalIgnored lets a node use a read lease wherever its log ends.
	bugGoalIgnored
	// bugLastIsMatched takes the end of a node's log for how far it matches the
	// leader's.
	bugLastIsMatched
	// bugBootIgnored uses a read lease that was granted to an earlier process.
	bugBootIgnored
	// bugSeenWhenSent counts on it that a holder has what it was sent.
	bugSeenWhenSent
	// bugOwnUncapped shows raft this node's own acknowledgements, whatever holders have.
	bugOwnUncapped
	// bugGuessJudges takes an item for expired that has by a reader's guess of the time.
	bugGuessJudges
	// bugRejectionCapped shows raft a rejection of a lower index.
	bugRejectionCapped

	// bugKnownIsApplied has a leader take what it has applied for all that anybody may
	// know.
	bugKnownIsApplied
	// bugKnownOfOthers has a new leader take its commit index for all that anybody may know,
	// before it has committed anything itself.
	bugKnownOfOthers
	// bugKnownByHolder has a holder do so.
	bugKnownByHolder

	// bugClockOfOne takes this node's own clock for a majority's.
	bugClockOfOne
	// bugMedianOfSome takes the median of the clocks that are known.
	bugMedianOfSome
	// bugOffsetKept never corrects the offset of log time.
	bugOffsetKept
	// bugTimeStood has a new leader go on from the last stamp.
	bugTimeStood
	// bugOffsetUnknown has a new leader go by an offset that may be an earlier one.
	bugOffsetUnknown
	// bugTimeFollows lets log time follow the wall clocks while a leader leads.
	bugTimeFollows
	// bugReportsKept goes by what others have reported before this node's clock was set.
	bugReportsKept

	// bugReadJoinsRound confirms a read by a round that had begun before it came.
	bugReadJoinsRound
	// bugBehindOutdated has reads join a sub-batch that was submitted before they came. The
	// simulation has it.
	bugBehindOutdated
	// bugBehindUntagged gives a sub-batch the oldest reads that are kept, whichever they were
	// submitted with.
	bugBehindUntagged
	// bugBehindKept keeps the reads of sub-batches that are given up.
	bugBehindKept
	// bugBehindWhenTold does reads when the results of their sub-batch are told, and
	// bugBehindAtOnce when they come, unless an operation of their sub-batch is before them.
	// The simulation has them.
	bugBehindWhenTold
	bugBehindAtOnce
	// bugRequestConfirmsAll confirms all reads by a peer's request for its own.
	bugRequestConfirmsAll
	// bugFetchedOld gives raft entries that were read from the log before others
	// replaced them.
	bugFetchedOld

	// bugVersionOfVoters raises the cluster version once all voters can, whatever learners
	// can.
	bugVersionOfVoters
	// bugVersionKept takes what a node has told of its version for true until it tells
	// another one.
	bugVersionKept
	// bugCommitUnmatched commits what a leader tells of, whatever this node's log holds.
	bugCommitUnmatched
	// bugVoteHeld lets a term or a vote wait as if it were a commit index.
	bugVoteHeld

	// bugVersionForgotten leaves the cluster version out of snapshots.
	bugVersionForgotten
)

func (b bugs) has(one bugs) bool { return b&one != 0 }
