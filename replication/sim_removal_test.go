package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"

	pb "go.etcd.io/raft/v3/raftpb"
)

// lose takes a node away for good.
func (n *simNode) lose() {
	n.s.note("lose %d", n.id)
	n.s.nodes = slices.DeleteFunc(n.s.nodes, func(m *simNode) bool { return m == n })
	n.s.gone = append(n.s.gone, n)
	n.gone = true
	n.crash()
}

// standstill ends all faults, and returns why the nodes that are left have no leader, or
// take no write; or nothing.
func (s *simulation) standstill() string {
	s.cut, s.dropPermille = map[[2]int]bool{}, 0
	s.model.stopped = true
	for _, n := range s.nodes {
		n.fs.FailIn = 0
		if n.up && n.fs.Failed() {
			n.crash()
		}
		n.start()
	}
	s.runUntil(s.now + 10*time.Second)
	leader := s.leader()
	if leader == nil {
		return "there is no leader, ten seconds after the last fault"
	}
	stored := false
	c := &simClient{s: s, node: leader, told: func(o simOutcome, _ *item.Result) { stored = o == simAnswered }}
	c.submit(engine.Op{Kind: engine.OpSet, Key: []byte("after"), Value: []byte("all")})
	s.runUntil(s.now + 3*time.Second)
	if !stored {
		return fmt.Sprintf("node %d leads, and has not stored anything within three seconds", leader.id)
	}
	return ""
}

// removeAndLose removes one of four servers while another is behind. Three have the
// removal in their logs, which is a majority of four. The leader knows that it is
// committed, the one that stays does not. Then the leader is lost. Two of the
// three that are to be left are there, and must go on.
//
// The one that is removed may know, too, and its log may be the longest.
func (s *simulation) removeAndLose() {
	s.setUp()
	leader := s.leader()
	others := slices.DeleteFunc(slices.Clone(s.nodes), func(n *simNode) bool { return n == leader })
	s.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	behind, stays, removed := others[0], others[1], others[2]
	if s.rng.IntN(2) == 0 {
		s.flooding(s.now+time.Second, 200*time.Microsecond)
		s.runUntil(s.now + 10*time.Millisecond)
	}
	s.cutOff(behind)
	core := leader.machine.core
	before := core.changeIndex
	leader.change(&MemberChange{Kind: ChangeRemove, ServerID: removed.member.ServerID})
	for end := s.now + time.Second; s.now < end && (core.changeIndex == before || stays.facts.last < core.changeIndex); {
		s.runUntil(s.now + 20*time.Microsecond)
	}
	s.cut[[2]int{leader.id, stays.id}] = true
	s.runUntil(s.now + time.Duration(s.rng.IntN(300))*time.Millisecond)
	leader.lose()
	if s.rng.IntN(2) == 0 && !removed.gone { // it knows of its removal by its log alone
		removed.crash()
	}
	if found := s.standstill(); found != "" {
		s.failf("%s", found)
	}
}

// TestRemovedServerStaysWhileItIsNeeded: see removeAndLose.
func TestRemovedServerStaysWhileItIsNeeded(t *testing.T) {
	needSeeds(t)
	for seed := *simFirst; seed < *simFirst+4*uint64(*simSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mustFindNothing(t, seed, newSimulation(t, seed, 4, 0).removeAndLose)
		})
	}
}

// loseMinority changes the members, and takes nodes away for good at a moment that
// chance picks, most often soon after a change was applied by somebody. Those that are
// left have a majority by the last members that are settled, and by all later ones. A
// leader that has not noticed the loss may still give a vote to who was lost: then they
// need not go on.
func (s *simulation) loseMinority() {
	s.setUp()
	s.addClients(3)
	until := s.now + 2*time.Second + time.Duration(s.rng.IntN(3000))*time.Millisecond
	s.operate(until)
	for s.now < until {
		s.runUntil(s.now + 100*time.Millisecond)
		if s.rng.IntN(4) == 0 {
			s.cut = map[[2]int]bool{}
			s.partition(s.anyNode())
		}
	}
	list := &s.check.members.changes
	for seen, end := len(*list), until+time.Second; len(*list) == seen && s.now < end && s.rng.IntN(200) > 0; {
		s.runUntil(s.now + 100*time.Microsecond)
	}
	s.runUntil(s.now + time.Duration(s.rng.IntN(3000))*time.Microsecond)
	first := len(*list) - 1
	for !(*list)[first].Members.settled() {
		first--
	}
	may := slices.Concat((*list)[first:], s.proposed())
	for _, n := range slices.Clone(s.nodes) {
		if s.rng.IntN(2) == 0 || !s.affords(append(s.lost, n.raft), may) {
			continue
		}
		s.lost = append(s.lost, n.raft)
		n.lose()
	}
	if found := s.standstill(); found != "" && s.affords(s.lost, slices.Concat((*list)[first:], s.proposed())) {
		s.failf("%s", found)
	}
}

// proposed returns the changes that nobody has applied and some node has in its log.
func (s *simulation) proposed() (list []AppliedChange) {
	last := s.check.members.changes[len(s.check.members.changes)-1]
	for _, n := range s.nodes {
		first, err := n.log.FirstIndex()
		n.must(err)
		if !n.up || n.facts.last <= max(last.Index, first) {
			continue
		}
		ents, err := n.log.Entries(max(last.Index+1, first), n.facts.last+1, 1<<30)
		n.must(err)
		for _, e := range ents {
			if e.GetType() != pb.EntryConfChangeV2 {
				continue
			}
			_, change, err := last.Members.apply(e, 0)
			n.must(err)
			list = append(list, *change)
		}
	}
	return list
}

// affords reports whether each of the given members has a majority without those that
// are lost.
func (s *simulation) affords(lost []uint64, changes []AppliedChange) bool {
	for _, ch := range changes {
		for _, voters := range [][]uint64{ch.Members.Conf.GetVoters(), ch.Members.Conf.GetVotersOutgoing()} {
			there := 0
			for _, id := range voters {
				if m, ok := ch.Members.Find(id); ok && !m.Retired && !slices.Contains(lost, id) {
					there++
				}
			}
			if len(voters) > 0 && there <= len(voters)/2 {
				return false
			}
		}
	}
	return true
}

// TestMinorityIsLost: see loseMinority.
func TestMinorityIsLost(t *testing.T) {
	needSeeds(t)
	for seed := *simFirst; seed < *simFirst+2*uint64(*simSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			mustFindNothing(t, seed, func() {
				s := newSimulation(t, seed, 2+int(seed%4), 0)
				s.loseMinority()
				t.Logf("%d lost, %+v", len(s.lost), s.stats)
			})
		})
	}
}
