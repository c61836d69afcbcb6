package replication

import (
	"testing"
	"time"
)

// rest has all nodes take their ticks late, as the raft loop does.
func (r *rig) rest() {
	for _, n := range r.nodes {
		n.pulse = &pulse{tick: simTick, last: n.clock(), rest: 1}
	}
}

// TestRest: a node whose clients ask nothing wakes for heartbeats alone, and one that has
// anything under way has every tick.
func TestRest(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	r.rest()
	r.run(2 * wantAfterRead)
	follower := r.others(leader)[0]
	if rest := leader.machine.core.Rest(); rest != simHeartbeatTicks {
		t.Errorf("an idle leader rests for %d ticks, want %d", rest, simHeartbeatTicks)
	}
	if rest := follower.machine.core.Rest(); rest <= simHeartbeatTicks || rest > simElectionTicks/2 {
		t.Errorf("an idle follower rests for %d ticks of %d to an election", rest, simElectionTicks)
	}
	for _, n := range []*rigNode{leader, follower} {
		for _, c := range []struct {
			name     string
			does, un func(*Core)
		}{
			{"a write", func(c *Core) { c.origin.submit(0, 1, 1, nil, false, time.Hour) }, func(c *Core) { c.origin.parked = nil }},
			{"a read", func(c *Core) { c.reads.join(0, 1, time.Hour) }, func(c *Core) { c.reads.forming = readBatch{} }},
			{"a write to the disk", func(c *Core) { c.handover.owed++ }, func(c *Core) { c.handover.owed-- }},
			{"a stop", func(c *Core) { c.handover.leaving = true }, func(c *Core) { c.handover.leaving = false }},
			{"a snapshot on its way", func(c *Core) { c.ships.begin(9) }, func(c *Core) { delete(c.ships.to, 9) }},
			{"a change of the members", func(c *Core) { c.asks.open = make([]ask, 1) }, func(c *Core) { c.asks.open = nil }},
			{"a quarantine", func(c *Core) { c.guard.verdict = VerdictRepairing }, func(c *Core) { c.guard.verdict = VerdictOK }},
			{"a full disk", func(c *Core) { c.space.own = SpaceLow }, func(c *Core) { c.space.own = SpaceAmple }},
			{"a new leader", func(c *Core) { c.resendDue = true }, func(c *Core) { c.resendDue = false }},
		} {
			core := n.machine.core
			before := core.Rest()
			if c.does(core); core.Rest() != 1 {
				t.Errorf("node %d rests for %d ticks during %s", n.id, core.Rest(), c.name)
			}
			if c.un(core); core.Rest() != before {
				t.Errorf("node %d rests for %d ticks after %s, %d before", n.id, core.Rest(), c.name, before)
			}
		}
	}
}

// TestReadersRest: a node at which clients read rests until it asks for a lease again, and a
// leader, its holders and a node that gets no lease rest as if nobody read.
func TestReadersRest(t *testing.T) {
	for _, mode := range []Leases{LeasesAll, LeasesLeader, LeasesOff} {
		r := newRig(t, 3, mode, 0)
		leader := r.elect()
		r.rest()
		r.run(2 * wantAfterRead)
		for _, n := range []*rigNode{leader, r.others(leader)[0]} {
			core := n.machine.core
			want := core.Rest()
			if mode == LeasesAll && n != leader {
				core.reading.next = core.mono + 3*simTick/2
				want = 2
			}
			core.Reading(core.mono)
			if got := core.Rest(); got != want {
				t.Errorf("leases %v, node %d of leader %d: it rests for %d ticks with reads, want %d", mode, n.id, leader.id, got, want)
			}
			core.Reading(core.mono - wantAfterRead - 1)
			if core.Rest() == 1 {
				t.Errorf("leases %v, node %d: it does not rest after the reads", mode, n.id)
			}
		}
	}
}

// TestRestingHoldersKeepTheirLeases: nodes at which clients read, and that have nothing else
// to do, ask for a lease less often and are never without one, even if every second
// time is lost. Their leader rests, until a write has to wait for one of them.
func TestRestingHoldersKeepTheirLeases(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	holders := r.others(leader)
	r.readers(holders...)
	r.rest()
	asked := 0
	r.lose = func(m *rigMail) bool {
		want := m.to == leader.id && m.in.kind == inputSignalled && m.in.bytes[1] == signalWant
		if want {
			asked++
		}
		return want && asked%4 < 2
	}
	const rest = 10 * time.Second
	turns := 0
	for end := r.now + rest; r.now < end; r.run(simTick) {
		for _, n := range holders {
			if !n.leased() {
				t.Fatalf("node %d has no lease", n.id)
			}
		}
		if leader.machine.core.Rest() == 1 {
			turns++
		}
	}
	perSecond := float64(asked) / rest.Seconds() / float64(len(holders))
	if perSecond > 40 || turns > 0 {
		t.Errorf("a node asks %.0f times a second, and the leader has every tick at %d of %d", perSecond, turns, rest/simTick)
	}
	r.hold = appendsTo(holders[0])
	r.lose = nil
	holders[1].set("k") // the leader itself waits for no write of its own
	r.run(simTick)
	if rest := leader.machine.core.Rest(); rest != 1 {
		t.Errorf("the leader rests for %d ticks while a write waits for a holder", rest)
	}
	r.hold = nil
	r.sound()
}

// TestRestingFollowersStandInTime: nobody stands before an election timeout has passed
// since the last heartbeat, less a tick, and somebody does before two have.
func TestRestingFollowersStandInTime(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	for round := range 30 {
		leader := r.elect()
		r.rest()
		r.run(time.Second)
		follower := r.others(leader)[0]
		r.until("a heartbeat", func() bool { return follower.machine.core.promise.until == follower.clock()+rigPromise })
		last, term, stood := r.now, leader.machine.core.term, time.Duration(0)
		r.pass(time.Duration(round%simHeartbeatTicks) * simTick / 2)
		leader.stop()
		r.lose = func(m *rigMail) bool {
			if stood == 0 && m.in.kind == inputStep && m.in.message.GetTerm() > term {
				stood = r.now - last
			}
			return false
		}
		r.until("another leader", func() bool { return r.leader() != nil && r.leader() != leader })
		if stood <= (simElectionTicks-1)*simTick || stood > 2*simElectionTicks*simTick {
			t.Errorf("somebody stands %v after the last heartbeat, want %v to %v", stood, (simElectionTicks-1)*simTick, 2*simElectionTicks*simTick)
		}
		leader.start()
	}
}

// TestPulse: ticks come when they are due, all at once after a rest, and are not caught
// up after a stop.
func TestPulse(t *testing.T) {
	p := &pulse{tick: 10, last: 100, rest: 1}
	for _, c := range []struct {
		at            time.Duration
		rest          int // from then on
		before, after int
	}{
		{105, 1, 0, 0},
		{110, 1, 0, 1},
		{119, 1, 0, 0},
		{121, 5, 0, 1},
		{150, 5, 2, 1},
		{151, 5, 0, 0},
		{200, 5, 4, 1},
		{1000, 1, 4, 1},
		{1009, 1, 0, 0},
		{1010, 1, 0, 1},
		{5000, 1, 0, 1},
		{5009, 1, 0, 0},
	} {
		before, after := p.due(c.at)
		if p.rest = c.rest; before != c.before || after != c.after {
			t.Errorf("at %d: %d and %d ticks, want %d and %d", c.at, before, after, c.before, c.after)
		}
	}
}
