package replication

import (
	"testing"
	"time"
)

// TestDeadHolder: a holder that dies, or whose entries do not arrive any more, delays
// writes by the length of its lease, and one more grant, and then none for long.
func TestDeadHolder(t *testing.T) {
	for _, dies := range []bool{true, false} {
		eachBug(t, func(t *testing.T, bugs bugs) {
			r := newRig(t, 3, LeasesAll, bugs)
			leader := r.elect()
			h := r.others(leader)[0]
			r.readers(h)
			r.run(simTick)
			if dies {
				h.reads = false
				h.lease = Lease{}
				h.up = false
			} else {
				r.hold = appendsTo(h)
			}
			commit, from := leader.commit(), r.now
			leader.set("k")
			r.deliver()
			r.until("committed", func() bool { return leader.commit() > commit })
			took := r.now - from
			if most := grantMax + wantGap + 2*simTick; took > most || bugs == 0 && took < grantMax/2 {
				t.Fatalf("dies: %v, bugs %b: a write waits for %v, want %v at most", dies, bugs, took, most)
			}
			if bugs != 0 {
				if !dies {
					r.sound()
				}
				return
			}
			if w := leader.machine.core.Status().HolderWaits; w.Count != 1 || w.Worst < took-2*simTick || w.Worst > took {
				t.Fatalf("a write has waited for %v, waits %+v", took, w)
			}
			r.hold = nil
			for end := r.now + waitRatio*(took-3*simTick) - waitCredit; r.now < end; r.run(5 * simTick) {
				if h.leased() {
					t.Fatalf("it holds a lease %v after writes have waited for %v", r.now-from, took)
				}
			}
			if !dies {
				r.readers(h)
			}
			r.sound()
		}, bugSeenWhenSent)
	}
}

// TestSlowHolder: a node for which a write waits for a little longer than a tick now and then,
// as on a busy machine, stays a holder. One that costs more than 1 % does not.
func TestSlowHolder(t *testing.T) {
	for _, c := range []struct {
		each, gap time.Duration
		barred    bool
	}{
		{simTick, 50 * time.Millisecond, false},
		{simTick + 5*time.Millisecond, time.Second, false},
		{simTick + 5*time.Millisecond, 200 * time.Millisecond, true},
		{3 * simTick, time.Second, true},
	} {
		r := newRig(t, 3, LeasesAll, 0)
		core := r.elect().machine.core
		id := r.others(r.nodes[core.cfg.ID-1])[0].id
		for end := core.mono + 30*time.Second; core.mono < end; core.mono += c.gap {
			h := holder{id: id, index: 1, since: core.mono - c.each}
			core.waited(&h)
		}
		if got := core.holders.barred[id] > core.mono; got != c.barred {
			t.Errorf("waits of %v every %v: barred: %v", c.each, c.gap, got)
		}
	}
}

// TestOnlyVoterWaitsForHolders: it needs nobody to commit, but its learners must have the
// entries.
func TestOnlyVoterWaitsForHolders(t *testing.T) {
	eachBug(t, func(_ *testing.T, bugs bugs) {
		r := newRig(t, 1, LeasesAll, bugs)
		only, learner := r.nodes[0], r.addLearner()
		r.readers(learner)
		r.hold = appendsTo(learner)
		only.set("k")
		r.run(3 * grantMax)
		r.sound()
	}, bugOwnUncapped)
}

// TestRejectionsPass (L1): raft is shown a rejection as it is, whatever holders have: it
// takes one of a lower index for stale, and would not send a follower what it lacks.
func TestRejectionsPass(t *testing.T) {
	eachBug(t, func(t *testing.T, bugs bugs) {
		r := newRig(t, 3, LeasesAll, bugs)
		h := r.addLearner()
		leader := r.elect()
		f := r.others(leader)[0]
		r.readers(h)
		r.hold = appendsTo(h)
		r.cut(f)
		leader.set("k")
		r.deliver()
		r.lose = nil
		r.run(5 * simTick)
		core := leader.machine.core
		if core.holders.find(h.id) == nil || core.holders.limit() >= core.lastIndex {
			t.Fatalf("nobody is waited for: %+v", core.holders.list)
		}
		if caughtUp := f.machine.core.lastIndex == core.lastIndex; caughtUp != (bugs == 0) {
			t.Fatalf("bugs %b: a follower has got what it lacked: %v", bugs, caughtUp)
		}
	}, bugRejectionCapped)
}

// TestTrickle (L2): a holder whose entries do not arrive is none soon, though there are
// few of them.
func TestTrickle(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	leader := r.elect()
	h := r.others(leader)[0]
	r.readers(h)
	r.hold = appendsTo(h)
	for range 50 {
		leader.set("k")
		r.run(simTick)
	}
	if w := leader.machine.core.Status().HolderWaits; w.Count != 1 || w.Worst > grantMax+wantGap+2*simTick {
		t.Fatalf("writes wait %+v", w)
	}
	r.sound()
}

// TestHeldAcksAreNoLife (L3): what is held back is not shown to raft over and over: a
// leader without its voters steps down, though a holder without a vote lives.
func TestHeldAcksAreNoLife(t *testing.T) {
	r := newRig(t, 3, LeasesAll, 0)
	learner := r.addLearner()
	leader := r.elect()
	r.readers(learner)
	r.hold = appendsTo(learner)
	leader.set("k")
	r.deliver()
	voters := r.others(leader)[:2]
	r.cut(voters...)
	r.run(3 * simElectionTicks * simTick)
	if leader.machine.core.leads() {
		t.Fatal("it leads without a majority")
	}
	r.sound()
}
