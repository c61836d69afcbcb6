package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

// addReadReplica adds a server that is not to get a vote, and waits until it has what
// the others have.
func (s *simulation) addReadReplica() *simNode {
	o := &simOperator{s: s, servers: len(s.nodes)}
	s.leader().change(&MemberChange{Kind: ChangePrepare, ServerID: o.servers, Host: "replica", LogPort: 1, Stays: true})
	s.runUntil(s.now + 300*time.Millisecond)
	members := s.leader().machine.core.members
	awaited := members.Members[members.awaited(o.servers)]
	replica := o.joiner(&awaited)
	s.leader().change(&MemberChange{Kind: ChangeAdmit, ServerID: o.servers, Directory: replica.member.Directory})
	s.runUntil(s.now + 300*time.Millisecond)
	o.start()
	s.runUntil(s.now + 3*time.Second)
	if m, ok := s.leader().machine.core.members.Find(replica.raft); !replica.up || !ok || !m.Learner || !m.Stays {
		s.failf("the read replica is up: %v, and %+v", replica.up, m)
	}
	return replica
}

// set writes at a node and returns the outcome.
func (s *simulation) set(n *simNode, key, value string) (outcome simOutcome) {
	answered := false
	c := &simClient{s: s, node: n, told: func(o simOutcome, _ *item.Result) { outcome, answered = o, true }}
	c.submit(engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: []byte(value)})
	for end := s.now + 2*simRequestTimeout; !answered && s.now < end; {
		s.runUntil(s.now + time.Millisecond)
	}
	if !answered {
		s.failf("node %d does not answer a set", n.id)
	}
	return outcome
}

// get reads a key at a node: what it has when the read is confirmed.
func (s *simulation) get(n *simNode, key string) (value string, ok bool) {
	answered := false
	n.read(&simClient{s: s, node: n, toldRead: func(confirmed bool) {
		answered, ok = true, confirmed
		found, _ := n.engine.NewReader().View(nil, []byte(key), func(dst, _ []byte, it engine.Item) []byte { return append(dst, it.Value...) })
		value = string(found)
	}})
	for end := s.now + 2*simRequestTimeout; !answered && s.now < end; {
		s.runUntil(s.now + time.Millisecond)
	}
	return value, ok
}

// TestReadReplica: a learner confirms its reads through the leader and sees each write
// that was acknowledged anywhere before; its own writes, and hints, reach the log. It
// counts for nothing: neither does its death stop a write, nor does its life help.
func TestReadReplica(t *testing.T) {
	eachSeed(t, "", 2, func(t *testing.T, s *simulation) {
		s.setUp()
		replica := s.addReadReplica()
		for i := range 40 {
			at, want := s.nodes[i%len(s.nodes)], fmt.Sprint(i)
			if o := s.set(at, "k", want); o != simAnswered {
				t.Fatalf("write %d at node %d has outcome %d", i, at.id, o)
			}
			if got, ok := s.get(replica, "k"); !ok || got != want {
				t.Fatalf("the replica reads %q, %v, want %q", got, ok, want)
			}
		}
		replica.hint(hashes(0, 5))
		s.runUntil(s.now + time.Second)
		s.set(s.nodes[0], "k", "for the hints")
		s.runUntil(s.now + time.Second)
		for _, n := range s.nodes {
			if n.state.hints == 0 {
				t.Fatalf("node %d has seen no hint of the replica", n.id)
			}
		}
		replica.crash()
		if o := s.set(s.nodes[0], "k", "without the replica"); o != simAnswered {
			t.Fatalf("without the replica a write has outcome %d", o)
		}
		replica.start()
		voter := s.nodes[0]
		if voter == s.leader() {
			voter = s.nodes[1]
		}
		voter.crash()
		for _, n := range []*simNode{s.nodes[0], s.nodes[1], replica} {
			if !n.up {
				continue
			}
			if o := s.set(n, "k", "with one vote of two"); o == simAnswered {
				t.Fatalf("with one vote of two a write at node %d is acknowledged", n.id)
			}
			if got, ok := s.get(n, "k"); ok {
				t.Fatalf("with one vote of two node %d reads %q", n.id, got)
			}
		}
		voter.start()
		s.settle()
	})
}

// TestReadReplicaDiverges: its state is compared with that of the voters, whose
// comparison its own says nothing in. It serves nobody until it has theirs.
func TestReadReplicaDiverges(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		replica := s.addReadReplica()
		voters := slices.Clone(s.nodes[:3])
		replica.corrupt("x")
		quarantined := false
		for i := range 10 * simDigestEvery {
			if o := s.set(voters[i%3], "k", fmt.Sprint(i)); o != simAnswered {
				t.Fatalf("write %d at a voter has outcome %d", i, o)
			}
			if v := replica.machine.core.Status().Verdict; v == VerdictRepairing {
				quarantined = true
			}
			for _, n := range voters {
				if v := n.machine.core.Status().Verdict; v != VerdictOK {
					t.Fatalf("voter %d is judged %v", n.id, v)
				}
			}
		}
		s.runUntil(s.now + 5*time.Second)
		if !quarantined || replica.isCorrupt() || replica.machine.core.Status().Verdict != VerdictOK {
			t.Fatalf("the replica was in quarantine: %v, is corrupt: %v, %+v", quarantined, replica.isCorrupt(), s.stats)
		}
		if got, ok := s.get(replica, "k"); !ok || got != fmt.Sprint(10*simDigestEvery-1) {
			t.Fatalf("the repaired replica reads %q, %v", got, ok)
		}
		s.settle()
	})
}

// TestRowsOfMembers: a member's exactly-once rows are there as long as its folder is,
// and no longer: what it has sent before has no effect after that.
func TestRowsOfMembers(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		replica := s.addReadReplica()
		if o := s.set(replica, "k", "1"); o != simAnswered {
			t.Fatalf("a write of the replica has outcome %d", o)
		}
		rows := func(n *simNode) (count int) {
			for k := range n.machine.applier.st.table.rows {
				if k.origin == replica.raft {
					count++
				}
			}
			return count
		}
		late := SubBatch{Origin: replica.raft, Boot: replica.boot, Loop: 0, Seq: 2, Count: 1, Ops: engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("late")})}
		if rows(s.leader()) == 0 {
			t.Fatal("the replica has no rows")
		}
		s.leader().change(&MemberChange{Kind: ChangeRemove, ServerID: replica.member.ServerID})
		s.runUntil(s.now + 2*time.Second)
		if !replica.gone {
			t.Fatal("the replica was not told that it was removed")
		}
		leader := s.leader()
		leader.put(replica.forwarded(append([]byte{0x91}, appendSubBatch(nil, &late)...)))
		s.runUntil(s.now + time.Second)
		for _, n := range s.nodes {
			if got, ok := s.get(n, "k"); !ok || got != "1" || rows(n) != 0 {
				t.Fatalf("node %d reads %q, %v, and has %d rows of the replica", n.id, got, ok, rows(n))
			}
		}
		s.settle()
	})
}

// TestRetiredVoterIsNotAskedForItsState by a node in quarantine.
func TestRetiredVoterIsNotAskedForItsState(t *testing.T) {
	s := newSimulation(t, 1, 3, 0)
	mustFindNothing(t, 1, func() {
		s.setUp()
		leader := s.leader()
		retired, other := s.nodes[(leader.id+1)%3], s.nodes[(leader.id+2)%3]
		leader.change(&MemberChange{Kind: ChangeReplace, ServerID: retired.member.ServerID, Host: "new", LogPort: 1})
		s.runUntil(s.now + time.Second)
		leader.machine.core.shutAway(0, []uint64{retired.raft, other.raft})
		if got := leader.machine.core.guard.holders; !slices.Equal(got, []uint64{other.raft}) {
			t.Fatalf("it asks %v, want %d alone", got, other.raft)
		}
	})
}

// TestReadReplicaOfALoneVoter: a lone voter that has crashed may not know at once that
// what it acknowledged is committed. Its replica reads that all the same.
func TestReadReplicaOfALoneVoter(t *testing.T) {
	eachSeed(t, "", 1, func(t *testing.T, s *simulation) {
		s.setUp()
		voter := s.nodes[0]
		replica := s.addReadReplica()
		for i := range 40 {
			want := fmt.Sprint(i)
			if o := s.set(voter, "k", want); o != simAnswered {
				t.Fatalf("write %d has outcome %d", i, o)
			}
			voter.crash()
			s.runUntil(s.now + 20*time.Millisecond)
			voter.start()
			if got, ok := s.get(replica, "k"); !ok || got != want {
				t.Fatalf("the replica reads %q, %v, want %q", got, ok, want)
			}
		}
		s.settle()
	})
}
