package replication

import (
	"errors"
	"slices"
	"testing"
	"time"

	"raftcached/replication/disk/disktest"

	pb "go.etcd.io/raft/v3/raftpb"
)

// simToldMax is how old what a leader has been told of a version may be when it raises the
// cluster version: it counts for versionAge from when it came, was on its way before, and a
// node stands still for up to 1.5 s.
const simToldMax = versionAge + simDelayMax + 3*time.Second

// simCould is when a node last ran a program of each version, or a higher one.
type simCould struct {
	program uint64 // that runs
	at      map[uint64]time.Duration
}

func (c *simCould) runs(program uint64, now time.Duration) {
	c.program = program
	c.ran(true, program, now)
}

// ran notes that a program of a version runs, or did until now.
func (c *simCould) ran(up bool, program uint64, now time.Duration) {
	if !up {
		return
	}
	if c.at == nil {
		c.at = map[uint64]time.Duration{}
	}
	for v := uint64(ClusterVersionFormed); v <= program; v++ {
		c.at[v] = now
	}
}

// knows reports whether the node has lately run a program that knows a cluster version.
func (n *simNode) knows(version uint64) bool {
	n.could.ran(n.up, n.could.program, n.s.now)
	at, ever := n.could.at[version]
	return ever && n.s.now-at <= simToldMax
}

// tooOld reports whether a node has ended because it does not know the cluster version.
// Its operator starts a program that does.
func (n *simNode) tooOld(err error) bool {
	if !errors.Is(err, ErrLater) {
		return false
	}
	s := n.s
	if s.check.raisedTo <= n.program {
		s.failf("node %d ends with program %d in a cluster of version %d: %v", n.id, n.program, s.check.raisedTo, err)
	}
	s.stats.tooOld++
	if n.up {
		n.crash()
	} else { // it was about to start
		n.life++
		n.fs = disktest.Crash(n.fs, s.rng)
	}
	n.program = s.check.raisedTo + 1
	s.after(time.Duration(10+s.rng.IntN(500))*time.Millisecond, n.start)
	return true
}

// version is the cluster version, by the last change that any node has applied.
func (s *simulation) version() uint64 {
	changes := s.check.members.changes
	return changes[len(changes)-1].Members.ClusterVersion()
}

// raised: when a leader asks for a higher cluster version, every member runs a program that
// knows it, or did a moment ago.
func (c *simChecker) raised(n *simNode, e *pb.Entry) {
	if e.GetType() != pb.EntryConfChangeV2 || !n.machine.core.leads() || e.GetTerm() != n.machine.core.term {
		return
	}
	change, err := readChange(e.GetData())
	n.must(err)
	if change == nil || change.Kind != ChangeVersion {
		return
	}
	c.raisedTo = max(c.raisedTo, change.Raised)
	for _, m := range n.machine.core.members.Members {
		if m.RaftID == 0 || m.Retired {
			continue
		}
		if o := c.s.byRaft(m.RaftID); o == nil || !o.knows(change.Raised) {
			c.s.failf("node %d raises the cluster version to %d, which raft id %d does not know", n.id, change.Raised, m.RaftID)
		}
	}
}

// upgrading has operators start nodes with another program, again and again until the given
// time: a newer or an older one, soon or long after the one before has ended.
func (s *simulation) upgrading(until time.Duration) {
	s.after(time.Duration(100+s.rng.IntN(1000))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		if n := s.anyNode(); n.up {
			s.stats.programs++
			n.crash()
			n.program = max(ClusterVersionFormed, s.version()+uint64(s.rng.IntN(4))-1)
			down := time.Duration(10+s.rng.IntN(500)) * time.Millisecond
			if s.rng.IntN(6) == 0 {
				down *= 30
			}
			s.after(down, n.start)
		}
		s.upgrading(until)
	})
}

// upgradeOneByOne has an operator upgrade three voters and a read replica, one after the
// other. One is away for long when the last one follows.
func (s *simulation) upgradeOneByOne() {
	s.setUp()
	s.addReadReplica()
	s.check.raisedTo = ClusterVersionFormed
	s.addClients(1)
	order := slices.Clone(s.nodes)
	s.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	upgrade := func(n *simNode) {
		n.crash()
		n.program = ClusterVersionFormed + 1
		n.start()
		s.runUntil(s.now + time.Duration(1000+s.rng.IntN(3000))*time.Millisecond)
	}
	away, last := order[0], order[len(order)-1]
	for _, n := range order[:len(order)-1] {
		upgrade(n)
	}
	away.crash()
	s.runUntil(s.now + simToldMax)
	upgrade(last)
	if got := s.version(); got != ClusterVersionFormed {
		s.failf("the cluster has version %d before all servers can do it", got)
	}
	away.start()
	s.runUntil(s.now + 3*time.Second)
	s.settle()
	if got := s.version(); got != ClusterVersionFormed+1 {
		s.failf("the cluster has version %d, and all can do the next one", got)
	}
}

// runUpgrades starts nodes with other programs while members come and go, in chaos.
func runUpgrades(s *simulation, length time.Duration) {
	s.check.raisedTo = ClusterVersionFormed
	for _, n := range s.nodes {
		n.program = ClusterVersionFormed + 1 // those of the same version form a cluster
		n.crash()
		n.start()
	}
	s.setUp()
	s.addClients(4)
	s.chaos(s.now + length)
	s.operate(s.now + length)
	s.upgrading(s.now + length)
	s.runUntil(s.now + length)
	newest := s.check.raisedTo + 1
	for _, n := range s.nodes { // at last everybody has it
		n.program = newest
		if n.up {
			n.crash()
		}
		n.start()
	}
	s.settle()
	for _, n := range s.nodes {
		if got := n.machine.core.members.ClusterVersion(); got != newest {
			s.failf("node %d has cluster version %d, and all can do %d", n.id, got, newest)
		}
	}
}

// TestSimulatedUpgrades has nodes of several versions in one cluster, whose programs are
// replaced by newer and older ones, through all faults, while members come and go. The
// cluster version rises only when all know the next one, never falls, is the same on all,
// and ends programs that do not know it and no others.
func TestSimulatedUpgrades(t *testing.T) {
	var sum simStats
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		runUpgrades(s, 30*time.Second)
		t.Logf("%+v", s.stats)
		sum.raised += s.stats.raised
		sum.programs += s.stats.programs
		sum.tooOld += s.stats.tooOld
	})
	if !t.Failed() && *simSeeds > 0 && (sum.raised < 2**simSeeds || sum.programs == 0 || sum.tooOld == 0) {
		t.Fatalf("covered too little: %d rises, %d programs, %d too old", sum.raised, sum.programs, sum.tooOld)
	}
}
