package replication

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// change asks a node for a change, and forgets it after a while.
func (n *simNode) change(c *MemberChange) {
	if !n.up || n.paused {
		return
	}
	c.ID = n.s.rng.Uint64() | 1
	n.s.note("ask %d to %v server %d", n.id, c.Kind, c.ServerID)
	n.put(input{kind: inputChange, change: c})
	n.forgetsSoon(c.ID)
}

// transfer asks a node to have another one lead.
func (n *simNode) transfer(serverID int) {
	if !n.up || n.paused {
		return
	}
	id := n.s.rng.Uint64() | 1
	n.s.note("ask %d to have server %d lead", n.id, serverID)
	n.s.check.members.transfers[id] = serverID
	n.put(input{kind: inputTransfer, tag: id, n: serverID})
	n.forgetsSoon(id)
}

func (n *simNode) forgetsSoon(id uint64) {
	n.s.after(time.Duration(n.s.rng.IntN(4000))*time.Millisecond, n.inLife(func() {
		n.put(input{kind: inputForget, tag: id})
	}))
}

// askAgain has nodes ask for changes while they hear nothing of the leader, so that they
// ask again for what is done already.
func (s *simulation) askAgain() {
	s.setUp()
	for range 5 {
		leader := s.leader()
		asker := s.anyNode()
		if leader == nil || asker == leader {
			s.runUntil(s.now + 100*time.Millisecond)
			continue
		}
		server := s.anyNode().member.ServerID
		asker.change(&MemberChange{Kind: ChangeMove, ServerID: server, Host: fmt.Sprint(s.now), LogPort: 1})
		s.runUntil(s.now + time.Millisecond)
		s.cut[[2]int{leader.id, asker.id}] = true
		s.runUntil(s.now + askGap + time.Duration(s.rng.IntN(200))*time.Millisecond)
		s.cut = map[[2]int]bool{}
		s.runUntil(s.now + 500*time.Millisecond)
	}
	s.settle()
}

// asked: what was asked for is done once at most, and not after a refusal.
func (c *simMembers) asked(ch *AppliedChange) {
	if ch.ID == 0 {
		return
	}
	if c.made[ch.ID] > 0 {
		c.s.failf("a change is made a second time at %d", ch.Index)
	}
	if made, told := c.told[ch.ID]; told && !made {
		c.s.failf("a change that was refused is made at %d", ch.Index)
	}
	c.made[ch.ID] = ch.Members.Version
}

// isSettled reports whether the change that has made a version of the members is
// settled: somebody has applied what says so, or a later change.
func (c *simMembers) isSettled(version uint64) bool {
	return slices.ContainsFunc(c.changes, func(ch AppliedChange) bool {
		return ch.Members.Version > version || ch.Members.Version == version && ch.Members.settled()
	})
}

// outcome: who asked is told what is true. In a turn that took many messages at once
// the leader may have changed after that.
func (c *simMembers) outcome(n *simNode, o *Outcome) {
	core := n.machine.core
	to, transfer := c.transfers[o.ID]
	switch leader, _ := core.members.Find(core.leader); {
	case transfer && o.Err == nil && to != AnyServer && !c.s.stepwise && leader.ServerID != to:
		c.s.failf("node %d is told that server %d leads, and it is %d", n.id, to, leader.ServerID)
	case transfer:
		if o.Err == nil {
			c.s.stats.moved++
		}
		return
	case errors.Is(o.Err, errUnknownChange):
		c.s.stats.changesUnknown++
		return
	case o.Err != nil:
		c.s.stats.changesRefused++
	default:
		c.s.stats.changesMade++
	}
	if made := c.made[o.ID] > 0; made != (o.Err == nil) {
		c.s.failf("node %d is told of a change, %v, and it is made: %v", n.id, o.Err, made)
	}
	if o.Err == nil && !c.isSettled(c.made[o.ID]) {
		c.s.failf("node %d is told of a change that is not settled", n.id)
	}
	c.told[o.ID] = o.Err == nil
}
