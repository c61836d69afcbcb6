package replication

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// simTrouble is what goes wrong on the scale of an election timeout: processes that
// stand still between any two steps, clocks of different rates, ticks in bursts,
// messages of one kind that are held back, streams that are dead one by one and one
// way.
type simTrouble struct {
	s         *simulation
	rules     []simRule
	originMax time.Duration // what a clock shows at most when its process begins
	calm      bool
	quietTo   time.Duration    // nobody writes until then
	resumed   func(n *simNode) // called when a node was paused, before anything else
}

// simRule is what happens to messages of a kind.
type simRule struct {
	from, to *simNode // nil: any
	kind     simKind
	delay    time.Duration // up to; 0: they are lost
}

// simKind is a kind of messages; the streams between nodes are two of them.
type simKind uint8

const (
	kindAll simKind = iota
	kindAppend
	kindControl
	kindTimeoutNow
	kindRejection // of a vote, or of what a leader of an older term sends
	kindVote
	kindHeartbeat
	kindHeartbeatResp
	kindAppResp
	kindReadIndex
	kindSignal
	kindEnd
)

func (k simKind) matches(in *input) bool {
	m := in.message
	switch {
	case k == kindAll, k == kindSignal && in.kind == inputSignalled:
		return true
	case in.kind != inputStep:
		return false
	}
	switch t := m.GetType(); k {
	case kindAppend:
		return t == pb.MsgApp
	case kindControl:
		return t != pb.MsgApp
	case kindTimeoutNow:
		return t == pb.MsgTimeoutNow
	case kindRejection:
		return t == pb.MsgAppResp && m.GetIndex() == 0 || m.GetReject()
	case kindVote:
		return t == pb.MsgVote || t == pb.MsgPreVote || t == pb.MsgVoteResp || t == pb.MsgPreVoteResp
	case kindHeartbeat:
		return t == pb.MsgHeartbeat
	case kindHeartbeatResp:
		return t == pb.MsgHeartbeatResp
	case kindAppResp:
		return t == pb.MsgAppResp
	case kindReadIndex:
		return t == pb.MsgReadIndex
	default:
		return false
	}
}

// clocksWithin gives each node a clock of a rate of its own. Of any two of them the
// faster one shows at most 1 + bound times as much.
func (s *simulation) clocksWithin(bound float64) {
	most, how, odd := bound/(1+bound), s.rng.IntN(3), s.anyNode()
	for _, n := range s.nodes {
		switch {
		case how == 0:
			n.clock.setSlow(s.now, most*s.rng.Float64())
		case (n == odd) == (how == 1): // one is slow, or all others
			n.clock.setSlow(s.now, most)
		default:
			n.clock.setSlow(s.now, 0)
		}
	}
}

// waits reports whether an actor stands still before its next step, which takes what
// wait returns.
func (t *simTrouble) waits() bool { return !t.calm && t.s.rng.IntN(1000) == 0 }

func (t *simTrouble) wait() time.Duration { return t.some() }

// fate says how much longer a message is on its way, and whether it is lost.
func (t *simTrouble) fate(from, to *simNode, in *input) (delay time.Duration, lost bool) {
	for i := range t.rules {
		r := &t.rules[i]
		if (r.from != nil && r.from != from) || (r.to != nil && r.to != to) || !r.kind.matches(in) {
			continue
		}
		if r.delay == 0 {
			return 0, true
		}
		delay += time.Duration(t.s.rng.Int64N(int64(r.delay)))
	}
	if !t.calm && t.s.rng.IntN(200) == 0 {
		delay += time.Duration(t.s.rng.IntN(300)) * time.Millisecond
	}
	return delay, false
}

// add adds a rule for some time.
func (t *simTrouble) add(r simRule, d time.Duration) {
	t.rules = append(t.rules, r)
	t.s.after(d, func() {
		if i := slices.Index(t.rules, r); i >= 0 {
			t.rules = slices.Delete(t.rules, i, i+1)
		}
	})
}

// again has something go wrong every now and then until the given time.
func (t *simTrouble) again(until time.Duration) {
	s := t.s
	s.after(time.Duration(5+s.rng.IntN(250))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		t.fault()
		t.again(until)
	})
}

// some returns up to a few hundred milliseconds, of all magnitudes.
func (t *simTrouble) some() time.Duration {
	return time.Duration(1+t.s.rng.IntN([]int{20, 100, 300, 600}[t.s.rng.IntN(4)])) * time.Millisecond
}

// node returns the leader or any node.
func (t *simTrouble) node() *simNode {
	if n := t.s.leader(); n != nil && t.s.rng.IntN(3) > 0 {
		return n
	}
	return t.s.anyNode()
}

func (t *simTrouble) fault() {
	s, n := t.s, t.node()
	switch s.rng.IntN(20) {
	case 0: // restarts, often while its promises hold
		if n.up {
			n.crash()
			s.after(t.some(), n.start)
		}
	case 1:
		t.pause(n)
	case 2:
		t.pause(n)
		t.pause(s.anyNode())
	case 3:
		t.partition(n)
	case 4:
		t.bridge()
	case 5: // one stream is dead, the others live
		t.add(simRule{n, s.anyNode(), simKind(s.rng.IntN(int(kindEnd))), 0}, t.some())
	case 6: // one kind is held back
		t.add(simRule{nil, nil, simKind(1 + s.rng.IntN(int(kindEnd)-1)), t.some()}, t.some())
	case 7:
		t.add(simRule{n, nil, simKind(1 + s.rng.IntN(int(kindEnd)-1)), t.some()}, t.some())
	case 8: // after a pause ticks may come in bursts
		if n.up {
			n.ticksDue = 1 + s.rng.IntN(2*simElectionTicks)
			n.core.wake()
		}
	case 9:
		t.holdUp(n, s.rng.IntN(4))
	case 10:
		s.anyNode().transfer([]int{s.anyNode().member.ServerID, AnyServer}[s.rng.IntN(2)])
	case 11:
		t.outrun()
	case 12, 13, 14:
		t.depose()
	case 15, 16:
		t.holdTransfer()
	case 17:
		[]func(){t.stallSupport, t.starve, t.confuse, t.lag, t.shrink, t.stepDown, t.reboot, t.switchOn, t.switchOff}[s.rng.IntN(9)]()
	case 18:
		for _, to := range s.nodes {
			if s.rng.IntN(3) == 0 {
				t.raise(to)
			}
		}
	case 19:
		if s.rng.IntN(3) == 0 { // all at once
			for _, n := range s.nodes {
				if n.up {
					n.crash()
					s.after(t.some(), n.start)
				}
			}
		}
	}
}

func (t *simTrouble) pause(n *simNode) {
	if n.up && !n.paused {
		n.pause(t.some())
	}
}

// holdUp lets one of a node's goroutines stand still: the others run.
func (t *simTrouble) holdUp(n *simNode, which int) {
	a := []*simActor{&n.core, &n.append, &n.apply, &n.disk}[which]
	if n.up && !a.heldUp {
		a.heldUp = true
		t.s.after(t.some(), n.inLife(a.goOn))
	}
}

// partition cuts a node off from some of the others, or from all, in one direction or
// both.
func (t *simTrouble) partition(n *simNode) {
	s, how, d := t.s, t.s.rng.IntN(3), t.some()
	spared := s.anyNode()
	all := s.rng.IntN(2) == 0
	s.stats.partitions++
	for _, m := range s.nodes {
		if m == n || m == spared && !all {
			continue
		}
		if how != 0 {
			t.add(simRule{from: n, to: m}, d)
		}
		if how != 1 {
			t.add(simRule{from: m, to: n}, d)
		}
	}
}

// bridge leaves two groups that one node alone connects, or none.
func (t *simTrouble) bridge() {
	s, d := t.s, t.some()
	s.stats.partitions++
	if len(s.nodes) < 2 {
		return
	}
	order := s.rng.Perm(len(s.nodes))
	half := 1 + s.rng.IntN(len(order)-1)
	joined := s.anyNode()
	if s.rng.IntN(2) == 0 {
		joined = nil
	}
	for _, i := range order[:half] {
		for _, j := range order[half:] {
			if a, b := s.nodes[i], s.nodes[j]; a != joined && b != joined {
				t.add(simRule{from: a, to: b}, d)
				t.add(simRule{from: b, to: a}, d)
			}
		}
	}
}

// end ends all trouble.
func (t *simTrouble) end() {
	t.rules, t.calm = nil, true
}
