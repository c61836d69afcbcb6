package replication

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/quorum"
)

const (
	// simPromoteLagMax is small, so that there is something to catch up with.
	simPromoteLagMax = 8

	// simServersMax is how many servers a simulated cluster grows to.
	simServersMax = 6

	// simDialTicks is how often a node connects to its peers anew.
	simDialTicks = 20
)

// admittedBy reports whether another node hears this one. Otherwise it says so,
// and this one stops for good.
func (n *simNode) admittedBy(to *simNode) bool {
	err := to.known.Admits(n.raft, n.member.Directory)
	if err == nil {
		return true
	}
	if n.s.bugs.has(bugRetiredHeard) {
		return true
	}
	if n.up && !n.paused && (to.known.settled() || n.s.bugs.has(bugToldEarly)) {
		n.s.stats.told++
		n.leave()
	}
	return false
}

// dial connects to the other nodes, once every simDialTicks. A folder that is no member any
// more is told so: nobody else would send it anything.
func (n *simNode) dial() {
	if n.ticks++; n.ticks%simDialTicks > 0 {
		return
	}
	for _, to := range slices.Clone(n.s.nodes) {
		if n.up && to != n && to.up && !to.paused && !n.s.cut[[2]int{to.id, n.id}] {
			n.admittedBy(to)
		}
	}
}

// leave stops a node for good.
func (n *simNode) leave() {
	n.s.note("leave %d", n.id)
	n.s.nodes = slices.DeleteFunc(n.s.nodes, func(m *simNode) bool { return m == n })
	n.s.gone = append(n.s.gone, n)
	n.gone = true
	n.crash()
}

// simOperator changes the members of a cluster, one step after the other. It
// knows what servers know.
type simOperator struct {
	s       *simulation
	servers int // server ids given so far
	joiners []*simNode
	until   time.Duration

	asksOnly bool // a folder that is granted to come in does not
}

func (s *simulation) operate(until time.Duration) {
	o := &simOperator{s: s, servers: len(s.nodes), until: until}
	o.again()
}

func (o *simOperator) again() {
	o.s.after(time.Duration(20+o.s.rng.IntN(400))*time.Millisecond, func() {
		o.start()
		if leader := o.s.leader(); leader != nil && !leader.paused {
			o.step(leader)
		}
		o.again()
	})
}

// start starts the nodes that were admitted, as soon as any member says so.
func (o *simOperator) start() {
	for _, j := range slices.Clone(o.joiners) {
		for _, n := range o.s.nodes {
			if !n.up {
				continue
			}
			members := n.machine.core.members.Members
			i := slices.IndexFunc(members, func(m Member) bool { return m.Directory == j.member.Directory })
			if i < 0 {
				continue
			}
			j.raft = members[i].RaftID
			o.joiners = slices.DeleteFunc(o.joiners, func(other *simNode) bool { return other == j })
			o.s.nodes = append(o.s.nodes, j)
			if o.s.check.raisedTo > 0 {
				j.program = o.s.check.raisedTo + 1
			}
			j.start()
			break
		}
	}
}

// step asks a leader for a change. Of the parties one may crash soon after.
func (o *simOperator) step(leader *simNode) {
	s, members := o.s, leader.machine.core.members.Members
	for i := range members {
		if m := &members[i]; m.RaftID == 0 && s.rng.IntN(4) > 0 {
			o.asks(o.joiner(m), s.anyNode(), false)
		}
	}
	if s.now >= o.until {
		return
	}
	m := members[s.rng.IntN(len(members))]
	if s.rng.IntN(6) == 0 {
		s.anyNode().transfer([]int{m.ServerID, AnyServer}[s.rng.IntN(2)])
	}
	kind := []ChangeKind{ChangePrepare, ChangePrepare, ChangeReplace, ChangeReplace, ChangeReplace, ChangeRemove, ChangeMove, ChangePromote}[s.rng.IntN(8)]
	c := &MemberChange{Kind: kind, ServerID: m.ServerID, Host: fmt.Sprint(s.now), LogPort: 1 + s.rng.IntN(1000)}
	switch kind {
	case ChangePrepare:
		if len(members) >= simServersMax {
			return
		}
		c.ServerID, c.Stays = o.servers, s.rng.IntN(3) == 0
		o.servers++
	case ChangeReplace:
		if n := s.byRaft(m.RaftID); n != nil && n.up && s.rng.IntN(2) == 0 {
			n.crash() // why it is replaced; it comes back all the same
			s.after(time.Duration(s.rng.IntN(3000))*time.Millisecond, n.start)
			if s.rng.IntN(2) == 0 {
				o.asks(o.joiner(&m), leader, true)
				return
			}
		}
	}
	s.anyNode().change(c)
	if s.rng.IntN(4) == 0 { // two at once
		s.anyNode().change(&MemberChange{Kind: ChangeRemove, ServerID: members[s.rng.IntN(len(members))].ServerID})
	}
	if n := s.anyNode(); s.rng.IntN(4) == 0 {
		s.after(time.Duration(s.rng.IntN(30))*time.Millisecond, n.inLife(func() {
			n.crash()
			s.after(time.Duration(s.rng.IntN(1000))*time.Millisecond, n.start)
		}))
	}
}

// joiner returns the node that is to be admitted as an awaited member.
func (o *simOperator) joiner(m *Member) *simNode {
	for _, j := range o.joiners {
		if j.member.ServerID == m.ServerID {
			return j
		}
	}
	member := *m
	member.Directory = DirectoryID{byte(o.s.made + 1), 1}
	j := newSimNode(o.s, &member)
	o.joiners = append(o.joiners, j)
	return j
}

// simMembers checks that the members are what the log says, and that raft's
// configuration is theirs.
type simMembers struct {
	s       *simulation
	changes []AppliedChange // ascending indexes, none refused
	folders map[uint64]DirectoryID
	made    map[uint64]uint64 // the versions that changes have made, by the ID under which they were asked for
	told    map[uint64]bool   // outcomes: whether it was made

	transfers map[uint64]int // to which server, by the ID likewise
}

func newSimMembers(s *simulation) simMembers {
	return simMembers{
		s: s, folders: map[uint64]DirectoryID{}, made: map[uint64]uint64{}, told: map[uint64]bool{}, transfers: map[uint64]int{}, changes: []AppliedChange{{Members: formedMembership(s.formed)}},
	}
}

// applied: all nodes make the same of a change, a raft id is one folder's for
// good, and nobody gets a vote who has not caught up.
func (c *simMembers) applied(n *simNode, changes []AppliedChange) {
	for _, ch := range changes {
		if ch.Conf == nil {
			continue
		}
		i, known := slices.BinarySearchFunc(c.changes, ch.Index, func(a AppliedChange, index uint64) int { return int(a.Index) - int(index) })
		if known {
			if want := c.changes[i].Members.append(nil); !bytes.Equal(want, ch.Members.append(nil)) {
				c.s.failf("node %d has other members at %d than another", n.id, ch.Index)
			}
			continue
		}
		c.asked(&ch)
		before := c.changes[i-1].Members
		if ch.Members.ClusterVersion() < before.ClusterVersion() {
			c.s.failf("the cluster version falls from %d to %d at %d", before.ClusterVersion(), ch.Members.ClusterVersion(), ch.Index)
		}
		c.changes = slices.Insert(c.changes, i, ch)
		for _, m := range ch.Members.Members {
			c.member(&ch, before, &m)
		}
		c.count(before, ch.Members)
	}
}

func (c *simMembers) member(ch *AppliedChange, before *Membership, m *Member) {
	if m.RaftID == 0 {
		return
	}
	if d, ok := c.folders[m.RaftID]; ok && d != m.Directory {
		c.s.failf("raft id %d is given to a second folder at %d", m.RaftID, ch.Index)
	}
	c.folders[m.RaftID] = m.Directory
	if was, ok := before.Find(m.RaftID); !ok || !was.Learner || m.Learner {
		return
	}
	last := uint64(0)
	for _, n := range slices.Concat(c.s.nodes, c.s.gone) {
		if n.raft == m.RaftID {
			last = n.facts.last
		}
	}
	if last+simPromoteLagMax+1 < ch.Index {
		c.s.failf("raft id %d gets a vote by entry %d, and its log ends at %d", m.RaftID, ch.Index, last)
	}
}

func (c *simMembers) count(before, after *Membership) {
	learners := func(m *Membership) int { return len(m.Conf.GetLearners()) }
	stats := &c.s.stats
	switch {
	case after.Raised != before.Raised:
		stats.raised++
	case after.Leases != before.Leases:
		stats.switched++
	case learners(after) > learners(before):
		stats.admitted++
	case after.joint() && len(after.Members) == len(before.Members)-1 && learners(after) < learners(before):
		stats.replaced++
	case learners(after) < learners(before) && len(after.Members) == len(before.Members):
		stats.promoted++
	case len(after.Members) < len(before.Members):
		stats.removed++
	}
}

// at returns the position of the change in force at an index.
func (c *simMembers) at(index uint64) int {
	i, known := slices.BinarySearchFunc(c.changes, index, func(a AppliedChange, index uint64) int { return int(a.Index) - int(index) })
	if known {
		return i
	}
	return i - 1
}

// heard: a folder that was retired or removed votes no more, and counts for nothing:
// who knows that it is applied takes nothing from it.
func (c *simMembers) heard(to, from *simNode) {
	i := slices.IndexFunc(to.known.Members, func(m Member) bool { return m.RaftID == from.raft && m.Directory == from.member.Directory })
	if i < 0 && from.raft < to.known.NextRaftID || i >= 0 && to.known.Members[i].Retired {
		c.s.failf("node %d hears node %d, which is no member any more", to.id, from.id)
	}
}

// configured: raft's configuration is that of the members at an index.
func (c *simMembers) configured(n *simNode, index uint64) {
	cfg := n.machine.core.raw.Status().Config
	want := c.changes[c.at(index)].Members.Conf
	if !slices.Equal(cfg.Voters[0].Slice(), want.GetVoters()) || !slices.Equal(cfg.Voters[1].Slice(), want.GetVotersOutgoing()) ||
		!slices.Equal(quorum.MajorityConfig(cfg.Learners).Slice(), want.GetLearners()) {
		c.s.failf("raft's configuration on node %d is %v, that of the members at %d is %v", n.id, cfg, index, want)
	}
}

// onMajority: nothing is applied, and so nothing acknowledged to a client, before
// it is synced on a majority: by the configuration that led to it, or by a later
// one.
func (c *simMembers) onMajority(n *simNode, index uint64) {
	if c.s.harming {
		return // a folder of those that had it may be gone
	}
	have := map[uint64]bool{}
	for _, m := range slices.Concat(c.s.nodes, c.s.gone) {
		have[m.raft] = have[m.raft] || m.facts.last >= index
	}
	majority := func(voters []uint64) bool {
		count := 0
		for _, id := range voters {
			if have[id] {
				count++
			}
		}
		return len(voters) == 0 || count > len(voters)/2
	}
	for i := max(0, c.at(index)-1); i < len(c.changes); i++ {
		if conf := c.changes[i].Members.Conf; majority(conf.GetVoters()) && majority(conf.GetVotersOutgoing()) {
			return
		}
	}
	c.s.failf("node %d has applied %d, which no majority has on disk", n.id, index)
}

// settled: every node is a member, and every member's node is there.
func (c *simChecker) settled() {
	members := c.members.changes[len(c.members.changes)-1].Members
	for _, n := range c.s.nodes {
		if err := members.Admits(n.raft, n.member.Directory); err != nil {
			c.s.failf("node %d, which is up: %v, was not told: %v", n.id, n.up, err)
		}
	}
	for _, m := range members.Members {
		if m.RaftID != 0 && !m.Retired && c.s.byRaft(m.RaftID) == nil {
			c.s.failf("server %d, raft id %d, is a member and is not there", m.ServerID, m.RaftID)
		}
	}
}

// runMembers changes the members of a cluster in chaos.
func runMembers(s *simulation, length time.Duration) {
	s.setUp()
	s.addClients(6)
	s.chaos(s.now + length)
	s.operate(s.now + length)
	s.runUntil(s.now + length)
	s.settle()
}

// TestRemovalIsDurableBeforeItIsTold: of two servers one is removed, and stops as soon
// as it is told. Then the other one crashes. It alone is the cluster, and knows that.
func TestRemovalIsDurableBeforeItIsTold(t *testing.T) {
	needSeeds(t)
	for seed := *simFirst; seed < *simFirst+4*uint64(*simSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mustFindNothing(t, seed, func() {
				s := newSimulation(t, seed, 2, 0)
				s.setUp()
				leader := s.leader()
				other := s.nodes[1-slices.Index(s.nodes, leader)]
				leader.change(&MemberChange{Kind: ChangeRemove, ServerID: other.member.ServerID})
				for end := s.now + 5*time.Second; s.now < end && !other.gone; {
					s.runUntil(s.now + 100*time.Microsecond)
				}
				leader.crash()
				leader.start()
				s.settle()
				if s.leader() != leader || !other.gone {
					t.Fatalf("server %d leads: %v, the other one is gone: %v", leader.id, s.leader() == leader, other.gone)
				}
			})
		})
	}
}

// TestSimulatedMembers adds, promotes, replaces, moves and removes members of
// clusters that begin with one to five, two at a time now and then, under load and
// through all faults. What TestSimulatedCluster checks holds for all who are, or
// have become, members.
func TestSimulatedMembers(t *testing.T) {
	needSeeds(t)
	var sum simStats
	for seed := *simFirst; seed < *simFirst+uint64(*simSeeds); seed++ {
		nodes := 1 + int(seed%5)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mustFindNothing(t, seed, func() {
				s := newSimulation(t, seed, nodes, 0)
				runMembers(s, 20*time.Second)
				t.Logf("%+v", s.stats)
				sum.admitted += s.stats.admitted
				sum.promoted += s.stats.promoted
				sum.replaced += s.stats.replaced
				sum.removed += s.stats.removed
				sum.told += s.stats.told
				sum.changesRefused += s.stats.changesRefused
				sum.changesMade += s.stats.changesMade
				sum.changesUnknown += s.stats.changesUnknown
				sum.moved += s.stats.moved
			})
		})
	}
	if !t.Failed() && *simSeeds >= simSeedsCovering && (sum.admitted == 0 || sum.promoted == 0 || sum.replaced == 0 || sum.removed == 0 || sum.told == 0 || sum.changesRefused == 0 || sum.changesMade == 0 || sum.moved == 0) {
		t.Fatalf("covered too little: %+v", sum)
	}
}
