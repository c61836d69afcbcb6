package replication

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"raftcached/internal/item"
	"raftcached/replication/disk"
	"raftcached/replication/snapshot"
)

// spaceLook is how often a node of the simulation looks at its disk.
const spaceLook = 100 * time.Millisecond

// fill lets a node's disk be filled by somebody else, down to a level, and then
// entirely if full is set, until it is emptied again after d. The node notices the
// level a little later, or only when it is full.
func (n *simNode) fill(level Space, full bool, d time.Duration) {
	s := n.s
	s.note("fill %d %d %v", n.id, level, full)
	n.setSpace(level)
	if full {
		s.after(s.delay(spaceLook), func() { n.fs.SetFull(n.space != SpaceAmple) })
	}
	s.after(d, func() {
		n.fs.SetFull(false)
		n.setSpace(SpaceAmple)
	})
}

func (n *simNode) setSpace(level Space) {
	n.space = level
	n.wasTight = n.wasTight || level != SpaceAmple
	n.s.after(n.s.delay(spaceLook), n.inLife(n.lookAtSpace))
}

// lookAtSpace tells the step machines what the disk is like.
func (n *simNode) lookAtSpace() {
	n.put(input{kind: inputSpace, space: n.space})
	n.putApply(applyInput{kind: applySpace, space: n.space, free: 1 << 30})
}

// filling fills disks again and again until the given time: that of one node, of the
// leader, of a majority, or of all.
func (s *simulation) filling(until time.Duration) {
	s.after(time.Duration(200+s.rng.IntN(1500))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		level := []Space{SpaceTight, SpaceLow, SpaceLow}[s.rng.IntN(3)]
		full := level == SpaceLow && s.rng.IntN(2) == 0
		d := time.Duration(50+s.rng.IntN(4000)) * time.Millisecond
		count := 1 + s.rng.IntN(len(s.nodes))
		first := s.rng.IntN(len(s.nodes))
		if n := s.leader(); n != nil && s.rng.IntN(2) == 0 {
			first = slices.Index(s.nodes, n)
		}
		for i := range count {
			if n := s.nodes[(first+i)%len(s.nodes)]; n.up && n.space == SpaceAmple {
				n.fill(level, full, d)
			}
		}
		s.filling(until)
	})
}

// TestSimulatedFullDisks fills disks under load, several at a time too, and with each
// second seed in chaos. What was refused has no effect, nothing acknowledged is lost,
// and no node ends because of it.
func TestSimulatedFullDisks(t *testing.T) {
	var all simStats
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addClients(6)
		end := s.now + 8*time.Second
		s.filling(end)
		s.flooding(end, 20*time.Millisecond)
		if s.seed%2 == 0 {
			s.chaos(end)
			s.stopping(end)
		}
		s.runUntil(end + 5*time.Second) // until all disks have room
		s.awaitStops()
		s.settle()
		t.Logf("%+v", s.stats)
		all.refused, all.full, all.acked = all.refused+s.stats.refused, all.full+s.stats.full, all.acked+s.stats.acked
	})
	if all.refused == 0 || all.acked < 100 || all.full == 0 && *simSeeds >= simSeedsCovering {
		t.Fatalf("covered too little: %+v", all)
	}
}

// TestLowSpace: what a cluster does about disks with little room, step by step.
func TestLowSpace(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		s.setUp()
		s.addClients(6)
		s.runUntil(s.now + time.Second)
		refused := func(d time.Duration) int {
			before := s.stats.refused
			s.runUntil(s.now + d)
			return s.stats.refused - before
		}

		// The leader's disk: another node leads. Hardly anybody is refused: only if a
		// message was so late that a voter seemed to be out of reach.
		old := s.leader()
		old.setSpace(SpaceLow)
		acked := s.stats.acked
		n := refused(time.Second)
		for end := s.now + 3*time.Second; old.leads() && s.now < end; { // who is asked to take over may not hear that
			n += refused(100 * time.Millisecond)
		}
		if n > (s.stats.acked-acked)/10 || old.leads() || s.leader() == nil {
			t.Fatalf("a leader whose disk is low: %d refused, it leads: %v, anybody: %v", n, old.leads(), s.leader() != nil)
		}

		// A second one: there is no majority with room. All nodes refuse, and none
		// answers late. Reads go on.
		leader := s.leader()
		leader.setSpace(SpaceLow)
		s.runUntil(s.now + time.Second)
		acked = s.stats.acked
		reads, unknown := s.stats.reads, s.stats.unknown
		if n := refused(time.Second); n < 100 || s.stats.acked > acked || s.stats.reads == reads || s.stats.unknown > unknown {
			t.Fatalf("a majority of low disks: %d refused, %d stored, %d read, %d unknown",
				n, s.stats.acked-acked, s.stats.reads-reads, s.stats.unknown-unknown)
		}

		// Room again: writes come back by themselves.
		for _, n := range s.nodes {
			n.setSpace(SpaceAmple)
		}
		s.runUntil(s.now + time.Second)
		acked = s.stats.acked
		if n := refused(time.Second); n > 0 || s.stats.acked == acked {
			t.Fatalf("with room again: %d refused, %d stored", n, s.stats.acked-acked)
		}

		// A follower's disk is full to the last byte: the others go on, its clients are
		// refused rather than left waiting, and it comes back.
		follower := s.nodes[(slices.Index(s.nodes, s.leader())+1)%3]
		follower.fill(SpaceLow, true, 5*time.Second)
		s.flooding(s.now+4*time.Second, 5*time.Millisecond)
		s.runUntil(s.now + 3*time.Second)
		var outcome simOutcome
		follower.set("there", func(o simOutcome, _ *item.Result) { outcome = o })
		commit := s.leader().machine.core.commit
		s.runUntil(s.now + time.Second)
		if n := s.leader().machine.core.commit - commit; n < 20 || outcome != simRefused {
			t.Fatalf("a follower's full disk: %d entries committed, its client gets %d", n, outcome)
		}
		s.runUntil(s.now + 2*time.Second)
		s.settle()
	})
}

// simWriter adapts a snapshot's writer to SnapshotWriter.
type simWriter struct{ *snapshot.Writer }

func (w simWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	return n, simFull(err)
}

func (w simWriter) Commit() error { return simFull(w.Writer.Commit()) }

func simFull(err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// save writes to the log. While the disk is full it tries again, and cuts the log
// meanwhile as Replica.write does.
func (n *simNode) save(e *appendEffect) simStep {
	full := false
	step := n.during(500*time.Microsecond, func() error {
		err := e.carryOut(n.log)
		if full = errors.Is(err, ErrDiskFull); full {
			return nil
		}
		return err
	})
	return func(done func()) {
		step(func() {
			if !full {
				n.s.check.saved(n, e)
				done()
				return
			}
			n.s.stats.full++
			n.s.after(n.s.delay(fullRetry), n.inLife(func() {
				n.toLog = slices.DeleteFunc(n.toLog, func(in appendInput) bool {
					if in.cut > 0 {
						n.s.check.cuts(n, in.cut)
						n.must(cutLog(n.log, in.cut))
					}
					return in.cut > 0
				})
				n.save(e)(done)
			}))
		})
	}
}
