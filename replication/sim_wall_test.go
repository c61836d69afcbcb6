package replication

import (
	"fmt"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

const (
	// simWallRest is how long nothing goes wrong before the time is judged.
	simWallRest = 6 * time.Second

	// simWallError is by how much log time less its offset may differ from what right
	// clocks show: by which the offset may be wrong, and what the clocks differ.
	simWallError = clockOffsetError + 500*time.Millisecond

	// simWallLife is how long an item lives that is looked for.
	simWallLife = 15 * time.Second

	// simWallBugSeeds is how many seeds a built-in bug may hide from.
	simWallBugSeeds = 60
)

// wallError is by how much a right clock is wrong: a little.
func (n *simNode) wallError() time.Duration { return time.Duration(n.id%3) * 200 * time.Millisecond }

// simWall sets the wall clocks of a cluster, and judges the time that it makes of them.
type simWall struct {
	s     *simulation
	truth time.Duration // what right clocks show, ahead of the simulation's
	wrong int           // how many others there are

	logTime, at time.Duration // when it was judged last
	slack       time.Duration // by how much it may have run ahead since, for elections
	stood, back time.Duration // how long no server ran since, and how far the truth went back meanwhile
	set         time.Duration // how far the truth went forward while no server ran

	corrected int // judgements with a wrong log time
}

// setWrong has the clocks of less than half of the nodes show anything, and the others the
// truth.
func (w *simWall) setWrong() {
	w.wrong = w.s.rng.IntN((len(w.s.nodes)-1)/2 + 1)
	for i, at := range w.s.rng.Perm(len(w.s.nodes)) {
		n := w.s.nodes[at]
		n.wall = w.truth + n.wallError()
		if i < w.wrong {
			n.wall += time.Duration(w.s.rng.Int64N(int64(2*clockYear))) - clockYear
		}
	}
}

// setRight has all clocks show the truth.
func (w *simWall) setRight() {
	w.wrong = 0
	for _, n := range w.s.nodes {
		n.wall = w.truth + n.wallError()
	}
}

// setSome has wrong clocks show the truth, or some anything if none is wrong: one that was wrong
// a moment ago counts as wrong.
func (w *simWall) setSome() {
	if w.wrong > 0 {
		w.setRight()
	} else {
		w.setWrong()
	}
}

// setAll sets all clocks, right or not, to another truth.
func (w *simWall) setAll(by time.Duration) {
	w.truth += by
	w.setWrong()
}

// jump is up to five hours, either way.
func (w *simWall) jump() time.Duration {
	return time.Duration(w.s.rng.Int64N(int64(10*time.Hour))) - 5*time.Hour
}

// trouble is one of the things that may happen to clocks, and to those who ask them.
func (w *simWall) trouble() {
	s := w.s
	switch s.rng.IntN(6) {
	case 0:
		w.setSome()
	case 1:
		w.setAll(w.jump())
	case 2: // no server runs for a while; somebody may set the clocks then
		for _, n := range s.nodes {
			n.crash()
		}
		d := time.Duration(s.rng.Int64N(int64(3 * time.Hour)))
		w.stood += d
		s.runUntil(s.now + d)
		if by := w.jump(); s.rng.IntN(2) == 0 {
			w.set, w.back = w.set+max(0, by), w.back+max(0, -by)
			w.setAll(by)
		}
		for _, n := range s.nodes {
			n.start()
		}
	case 3: // a leader dies
		w.killLeader()
	case 4: // one dies whose correction the others have not applied
		w.dieAfterCorrection()
	case 5: // a clock is set wrong, and its node leads in the same moment
		n := s.anyNode()
		w.setRight()
		s.runUntil(s.now + clockReportAge)
		n.wall += w.jump()
		if l := s.leader(); l != nil && l != n && n.up {
			s.await(func() bool { return n.machine.core.leader == l.raft })
			l.transfer(n.member.ServerID)
		}
		s.runUntil(s.now + 300*time.Millisecond)
		w.setRight()
	}
	w.slack += simWallError
}

func (w *simWall) killLeader() {
	if l := w.s.leader(); l != nil {
		l.crash()
		w.s.after(time.Second, l.start)
	}
}

// dieAfterCorrection sets all clocks forward, and kills the leader that has corrected the offset for it
// while nobody else has applied that.
func (w *simWall) dieAfterCorrection() {
	s := w.s
	leader := s.leader()
	if leader == nil || len(s.nodes) == 1 {
		return
	}
	before := leader.engine.OffsetMs()
	w.setAll(time.Hour)
	for _, n := range s.nodes {
		if n != leader {
			n.apply.heldUp = true
			s.after(clockOffsetFor+3*time.Second, n.inLife(n.apply.goOn))
		}
	}
	for end := s.now + clockOffsetFor + 2*time.Second; s.now < end && leader.up && leader.engine.OffsetMs() == before; {
		s.runUntil(s.now + 2*time.Millisecond)
	}
	w.killLeader()
	s.runUntil(s.now + 2*time.Second)
}

// judge is called when nothing has gone wrong for a while: absolute times mean what right
// clocks show, on every node, and log time has run as time does.
func (w *simWall) judge() {
	s := w.s
	s.await(func() bool { return s.leader() != nil && s.leader().machine.core.clock.settled })
	w.store("stamp", 0) // what was not stamped may come again after a restart
	clock := &s.leader().machine.core.clock
	logTime := time.Duration(clock.lastNs) + s.leader().clock.at(s.now) - clock.lastMono - time.Duration(simEpoch.UnixNano())
	for _, n := range s.nodes {
		offset := time.Duration(n.engine.OffsetMs()) * time.Millisecond
		if off := logTime - offset - s.now - w.truth; off.Abs() > simWallError {
			s.failf("log time is %v with offset %v at node %d: %v ahead of %v, which right clocks show", logTime, offset, n.id, off, s.now+w.truth)
		}
		if offset.Abs() > time.Minute {
			w.corrected++
		}
	}
	if w.at > 0 {
		passed, ran := s.now-w.at, logTime-w.logTime
		least, most := passed-w.stood-w.slack, passed+w.set+w.slack
		if w.wrong == 0 { // a wrong clock may be among those that are known first
			least = max(least, passed-w.back-w.slack)
		}
		if ran < least || ran > most {
			s.failf("log time ran %v in %v, in which no server ran for %v, and clocks were set by %v and -%v meanwhile; slack %v", ran, passed, w.stood, w.set, w.back, w.slack)
		}
	}
	w.logTime, w.at, w.slack, w.stood, w.back, w.set = logTime, s.now, simWallError, 0, 0, 0
}

// lives stores an item that is to live until a time of day, and one that is to live for some
// time, lets something happen to clocks, and looks when they are gone.
func (w *simWall) lives(disturb func()) {
	s := w.s
	until := simEpoch.Add(s.now + w.truth + simWallLife).Unix()
	began := s.now
	w.store("until", until)
	w.store("for", int64(simWallLife/time.Second))
	disturb()
	s.runUntil(began + simWallLife - 2*simWallError - time.Second)
	w.look("until", true)
	w.look("for", true)
	s.runUntil(began + simWallLife + 2*simWallError + time.Second)
	w.look("until", false)
	w.look("for", false)
}

func (w *simWall) store(key string, exptime int64) {
	for range 20 {
		stored, n := false, w.s.anyNode()
		if !n.up {
			n = w.s.leader()
		}
		c := &simClient{s: w.s, node: n, told: func(o simOutcome, _ *item.Result) { stored = o == simAnswered }}
		c.submit(engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: []byte("v"), Exptime: exptime})
		w.s.runUntil(w.s.now + 300*time.Millisecond)
		if stored {
			return
		}
	}
	w.s.failf("%s cannot be stored", key)
}

// look judges by what was stamped last: something is, before.
func (w *simWall) look(key string, alive bool) {
	w.store("stamp", 0)
	w.s.runUntil(w.s.now + 200*time.Millisecond)
	for _, n := range w.s.nodes {
		if !n.up {
			continue
		}
		got, found := n.engine.NewReader().View(nil, []byte(key), func(dst, _ []byte, it engine.Item) []byte { return append(dst, it.Value...) })
		if found != alive {
			w.s.failf("node %d has %q, %v of an item that lives %s %v", n.id, got, found, key, simWallLife)
		}
	}
}

// setWallClocks has a cluster come to be with some wrong clocks, and sets them while it lives.
func (s *simulation) setWallClocks() {
	w := &simWall{s: s, slack: simWallError}
	w.setAll(w.jump())
	s.setUp()
	for range 8 {
		s.runUntil(s.now + simWallRest)
		w.judge()
		w.trouble()
		s.runUntil(s.now + simWallRest)
		w.judge()
		w.lives(func() {
			if s.rng.IntN(2) == 0 {
				w.setSome()
			}
			if s.rng.IntN(3) == 0 {
				w.killLeader()
				w.slack += simWallError
			}
		})
	}
	s.settle()
	s.stats.corrected = w.corrected
}

// TestSimulatedWallClocks (case D): whatever the clocks of less than half of the servers show, from
// the first stamp on, times of day mean what most clocks show, and times to live are as
// long as they are; also when all clocks are set, while servers run or not.
func TestSimulatedWallClocks(t *testing.T) {
	corrected := 0
	for _, nodes := range []int{1, 3, 5} {
		eachSeed(t, fmt.Sprint(nodes, "/"), nodes, func(t *testing.T, s *simulation) {
			s.setWallClocks()
			corrected += s.stats.corrected
		})
	}
	if !t.Failed() && corrected == 0 {
		t.Fatal("log time was never wrong")
	}
}

// TestSeededBugsOfWallClocks breaks on purpose what a leader makes of clocks.
func TestSeededBugsOfWallClocks(t *testing.T) {
	needSeeds(t)
	three, five := newScenario(3, (*simulation).setWallClocks), newScenario(5, (*simulation).setWallClocks)
	five.first = 43 // two wrong clocks among the three that are known first
	for _, c := range []seededBug{
		{"one clock is taken for a majority's", bugClockOfOne, three},
		{"median of those that are known", bugMedianOfSome, five},
		{"offset not corrected", bugOffsetKept, three},
		{"time stood while no server ran", bugTimeStood, three},
		{"offset that is not known yet", bugOffsetUnknown, three},
		{"log time follows clocks", bugTimeFollows, three},
		{"reports from before a clock was set", bugReportsKept, three},
	} {
		c.mustBeFound(t, simWallBugSeeds)
	}
}
