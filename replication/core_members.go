package replication

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

const (
	// promoteLagMax is how many entries a learner's log may be behind the leader's
	// when it gets its vote: from then on majorities may need it.
	promoteLagMax = 512

	// promoteGap is how often the leader looks for learners that have caught up.
	promoteGap = 200 * time.Millisecond
)

// memberState is the core's part in changing the members: the leader judges
// whether the cluster can afford a change, and raft changes its configuration as
// changes are applied.
type memberState struct {
	members *Membership // as applied

	// confIndex is the index up to which raft has changed its configuration. A
	// snapshot that raft restores sets it, while older entries may still be on
	// their way through the applier.
	confIndex uint64

	// changeIndex is the last entry that may change the members. While it is not
	// applied raft takes no other one.
	changeIndex uint64

	nextPromote time.Duration
	late        []AppliedChange // see bugChangeLate

	// removed tells that this node is no member any more, or retired. It answers
	// no clients. It goes on with raft until a member tells it to stop: see settle.
	removed bool

	asks asks
}

// Outcome is what became of something that was asked for.
type Outcome struct {
	ID  uint64
	Err error // why it was refused, or nil
}

func (c *Core) outcome(id uint64, err error) {
	if id != 0 {
		c.eff.Outcomes = append(c.eff.Outcomes, Outcome{id, err})
	}
}

var (
	errNotLeader   = errors.New("this server does not lead")
	errHandingOver = errors.New("leadership is being handed over: try again")
)

// proposeChange proposes, as the leader, a change that was planned on the members of
// its Version. It may be lost if this node ceases to lead.
func (c *Core) proposeChange(change *MemberChange) error {
	switch {
	case !c.leads():
		return errNotLeader
	case c.formDue:
		return errHandingOver
	case c.raw.BasicStatus().Applied < c.changeIndex, !c.members.settled() && change.Kind != ChangeSettle:
		return errJoint
	}
	if c.cfg.bugs.has(bugMadeTwice) {
		change.Version = c.members.Version
	}
	next, cc, err := c.members.plan(change)
	if err == nil {
		err = c.members.addressFree(change)
	}
	if err == nil && change.Kind == ChangeVersion && change.Raised > c.versionOfAll() {
		err = errNotAll
	}
	if err != nil {
		return err
	}
	if self, _ := c.members.Find(c.cfg.ID); change.ServerID == self.ServerID && (change.Kind == ChangeRemove || change.Kind == ChangeReplace) {
		if c.stepAside() {
			return errHandingOver
		}
		return fmt.Errorf("server %d leads, and no other one with a vote can be reached that could: start others first", change.ServerID)
	}
	if change.Kind == ChangePromote && !c.caughtUp(change.ServerID) {
		return fmt.Errorf("server %d has not caught up yet", change.ServerID)
	}
	if k := change.Kind; !change.Force && (k == ChangeReplace || k == ChangePromote || k == ChangeRemove) {
		if err := c.affords(next); err != nil {
			return err
		}
	}
	if c.raw.ProposeConfChange(cc) != nil {
		return errHandingOver
	}
	c.lastIndex++
	c.changeIndex = c.lastIndex
	return nil
}

// addressFree returns an error if a change gives a server an address that another one has.
// Only the leader asks: what stands in the log of an older version was not checked.
func (m *Membership) addressFree(c *MemberChange) error {
	if c.Kind != ChangePrepare && c.Kind != ChangeReplace && c.Kind != ChangeMove {
		return nil
	}
	if c.LogPort == c.ClientPort && c.LogPort != 0 {
		return fmt.Errorf("port %d of server %d cannot be for clients and for the other servers: give it two ports", c.LogPort, c.ServerID)
	}
	for i := range m.Members {
		o := &m.Members[i]
		if o.ServerID == c.ServerID || o.Retired || !strings.EqualFold(o.Host, c.Host) {
			continue
		}
		for _, port := range []int{c.LogPort, c.ClientPort} {
			if port != 0 && (port == o.LogPort || port == o.ClientPort) {
				return fmt.Errorf("%s is the address of server %d: give server %d another host or other ports", net.JoinHostPort(c.Host, strconv.Itoa(port)), o.ServerID, c.ServerID)
			}
		}
	}
	return nil
}

// stepAside moves leadership to the voter whose log is the most advanced, of those
// that can be reached. A leader does not remove itself: it would stop to send
// entries before others know that its removal is committed. It reports whether there
// is such a voter.
func (c *Core) stepAside() bool {
	var best, match uint64
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		m, _ := c.members.Find(id)
		if id != c.cfg.ID && c.members.votes(id) && !m.Retired && c.hears(id) && p.Match >= match {
			best, match = id, p.Match
		}
	})
	if best != 0 {
		c.handOn(best)
	}
	return best != 0
}

// handOn asks a voter to take over, unless that is under way.
func (c *Core) handOn(to uint64) {
	if c.transferring() == raft.None {
		c.eff.Transfers = append(c.eff.Transfers, Transfer{To: to, Asked: true})
		c.transferLeader(to)
	}
}

// affords reports, by an error, that the voters of next could not commit anything
// now. A retired folder is never heard, though it counts for majorities.
func (c *Core) affords(next *Membership) error {
	voters := next.Conf.GetVoters()
	healthy := 0
	for _, id := range voters {
		if m, ok := next.Find(id); ok && !m.Retired && c.hears(id) {
			healthy++
		}
	}
	if majority := len(voters)/2 + 1; healthy < majority {
		return fmt.Errorf("of the %d servers that would vote, %d can be reached and %d are needed: start others first, or force it", len(voters), healthy, majority)
	}
	return nil
}

// hears reports whether a node has spoken within an election timeout.
func (c *Core) hears(id uint64) bool {
	at, ok := c.handover.heard[id]
	return id == c.cfg.ID || ok && c.handover.ticks-at <= c.cfg.ElectionTicks
}

// caughtUp reports whether the log of a server's learner is near the end of the
// leader's, and goes on.
func (c *Core) caughtUp(serverID int) (yes bool) {
	i := c.members.present(serverID)
	if i < 0 || c.cfg.bugs.has(bugPromotedEarly) {
		return i >= 0
	}
	learner := c.members.Members[i].RaftID
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == learner {
			yes = p.State == tracker.StateReplicate && p.Match+c.cfg.promoteLagMax >= c.lastIndex
		}
	})
	return yes && c.hears(learner)
}

// tickMembers settles the members if they have changed, and gives a vote to a learner
// that has caught up, one at a time.
func (c *Core) tickMembers() {
	c.signalCommitted()
	c.settle() // if it could not be done at once
	if !c.leads() || c.mono < c.nextPromote {
		return
	}
	c.nextPromote = c.mono + promoteGap
	for i := range c.members.Members {
		m := &c.members.Members[i]
		if m.Learner && !m.Stays && c.caughtUp(m.ServerID) {
			// Should it fail, it is done again.
			_ = c.proposeChange(&MemberChange{Kind: ChangePromote, Version: c.members.Version, ServerID: m.ServerID})
			return
		}
	}
}

// noteMembers takes changes of the members from the applier, and has raft change
// its configuration. One that a snapshot of raft's covers has happened there.
func (c *Core) noteMembers(a *AppliedUpTo) {
	changes := a.Changes
	if c.cfg.bugs.has(bugChangeLate) {
		changes, c.late = c.late, changes
	}
	for i := range changes {
		ch := &changes[i]
		if ch.Conf != nil && ch.Index > c.confIndex {
			c.raw.ApplyConfChange(ch.Conf)
		}
		c.confIndex = max(c.confIndex, ch.Index)
	}
	if a.Members == nil {
		return
	}
	c.members, c.eff.Members = a.Members, a.Members
	c.removed = c.members.Excludes(c.cfg.ID)
	c.settleAsks(changes)
	c.lease.follow(c.members.Conf, c.cfg.bugs)
	voters := c.members.Conf.GetVoters()
	c.guard.states.follow(voters)
	c.clock.keep(voters)
	c.versions.keep(c.members)
	c.guard.holders = c.heard(c.guard.holders)
	if c.guard.verdict == VerdictRepairing && len(c.guard.holders) == 0 {
		c.guard.holders = c.otherVoters()
	}
}

// heard returns those of the given raft ids that have a vote and may be heard.
func (c *Core) heard(ids []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return !c.members.votes(id) || c.members.Excludes(id) })
}

// peers are the other members.
func (c *Core) peers() []uint64 { return c.members.peersOf(c.cfg.ID) }

// otherVoters are the peers that have a vote.
func (c *Core) otherVoters() []uint64 {
	return slices.DeleteFunc(c.peers(), func(id uint64) bool { return !c.members.votes(id) })
}
