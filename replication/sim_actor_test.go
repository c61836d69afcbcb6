package replication

import "time"

// simActor is one of a node's goroutines. It takes what is queued, and carries
// out what its step machine says of it, one step after the other.
type simActor struct {
	n    *simNode
	pace time.Duration    // typically until it looks at what is queued
	look func() []simStep // takes what is queued
	busy bool
	more bool // something came while it was busy or held up

	heldUp bool          // by the system: others run
	stall  time.Duration // for so long, after its next step
}

// simStep does something, and calls done, then or later.
type simStep func(done func())

// wake has the actor look at what is queued, as soon as it is free.
func (a *simActor) wake() {
	a.more = true
	if a.busy || a.heldUp {
		return
	}
	a.busy = true
	a.n.s.after(a.n.s.delay(a.pace), a.n.inLife(func() {
		a.more = false
		a.run(a.look())
	}))
}

// goOn ends that the actor is held up.
func (a *simActor) goOn() {
	a.heldUp = false
	if a.more {
		a.wake()
	}
}

// stepsOf makes steps of what takes no time.
func stepsOf(list []func()) []simStep {
	steps := make([]simStep, 0, len(list))
	for _, do := range list {
		steps = append(steps, func(done func()) {
			do()
			done()
		})
	}
	return steps
}

// run carries out steps. Between two of them others may have their turn.
func (a *simActor) run(steps []simStep) {
	a.inTurn(steps, func() {
		a.busy = false
		if a.more {
			a.wake()
		}
	})
}

// simTurn is the steps that an actor has yet to carry out, the present one first.
type simTurn struct {
	a       *simActor
	steps   []simStep
	done    func() // after the last one
	stepped func() // after each
}

func (a *simActor) inTurn(steps []simStep, done func()) {
	if len(steps) == 0 {
		done()
		return
	}
	t := &simTurn{a: a, steps: steps, done: done}
	t.stepped = t.next
	t.step()
}

func (t *simTurn) step() { t.steps[0](t.stepped) }

// next goes on behind a step.
func (t *simTurn) next() {
	a := t.a
	s := a.n.s
	t.steps = t.steps[1:]
	switch {
	case len(t.steps) == 0:
		t.done()
	case a.stall > 0:
		s.after(a.stall, a.n.inLife(t.step))
		a.stall = 0
	case s.trouble != nil && s.trouble.waits():
		s.after(s.trouble.wait(), a.n.inLife(t.step))
	case s.rng.IntN(4) == 0:
		s.after(s.delay(200*time.Microsecond), a.n.inLife(t.step))
	default:
		t.step()
	}
}
