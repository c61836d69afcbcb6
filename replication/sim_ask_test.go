package replication

import (
	"slices"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

// simAsk is a read of a key at a node, as an event loop goes about it, which may stand
// still between any two steps.
type simAsk struct {
	*simRead
	s    *simulation
	done func()
	over bool
	upTo uint64 // the log's end when it was found that a change is under way

	confirmed bool // by a majority
	timed     bool // it has waited for the time
}

// simAwait is an ask that waits until an index is applied.
type simAwait struct {
	ask   *simAsk
	index uint64
}

// ask returns a read of a random key at a node. The bytes of the request have arrived.
// done is called when it is over, also if the node crashes.
func (r *simReaders) ask(n *simNode, done func()) *simAsk {
	a := &simAsk{simRead: r.s.order.begin(n, r.key()), s: r.s, done: done}
	n.asks = append(n.asks, a)
	return a
}

// begin asks the gate, or a majority.
func (a *simAsk) begin() {
	if _, leased := a.n.machine.gate.Leased(); leased {
		a.pause(a.look)
		return
	}
	a.confirm()
}

// confirm asks a majority.
func (a *simAsk) confirm() {
	a.n.read(&simClient{s: a.s, node: a.n, toldRead: func(ok bool) {
		if !ok {
			a.finish()
			return
		}
		a.s.stats.reads++
		a.confirmed = true
		a.view(Sight{})
	}})
}

// look waits for the change of the key that is under way, if there is one.
func (a *simAsk) look() {
	g := a.n.machine.gate
	sight := g.Look(engine.HashKey([]byte(a.key)))
	if sight.Index > 0 {
		a.upTo = g.End()
		a.await(min(sight.Index, a.upTo))
		return
	}
	a.pause(func() { a.view(sight) })
}

// view reads what the node has. What is due waits, once, and what seems to have expired.
func (a *simAsk) view(sight Sight) {
	r := a.n.reader
	if !a.s.bugs.has(bugDueIgnored) {
		r.SetDue(sight.DueMs)
	}
	if !a.timed {
		r.SetTime(a.n.guess.At(a.n.machine.gate.Now()))
	}
	value := readValue(r, a.key)
	due, late := r.Due(), r.Late() && !a.s.bugs.has(bugGuessJudges)
	r.SetDue(0)
	r.SetTime(0, 0)
	switch {
	case due:
		a.await(sight.End)
		return
	case late:
		a.askTime()
		return
	case !a.confirmed:
		a.s.stats.leased++
	}
	a.show(value)
}

// askTime has an empty sub-batch stamped, and goes on when that is applied, or was
// given up.
func (a *simAsk) askTime() {
	n := a.n
	a.s.stats.timed++
	a.timed = true
	n.lastTag++
	c := &simClient{s: a.s, node: n, asked: max(1, n.machine.gate.Now()), told: func(simOutcome, *item.Result) {
		switch {
		case a.over, !n.up: // it has crashed
		case a.confirmed:
			a.view(Sight{})
		case a.upTo > 0:
			a.view(n.machine.gate.LookUpTo(a.upTo))
		default:
			a.look()
		}
	}}
	n.waiting = append(n.waiting, simWaiter{tag: n.lastTag, client: c})
	n.put(input{kind: inputSubmit, tag: n.lastTag})
}

// await waits until an index is applied, or was cut off.
func (a *simAsk) await(index uint64) {
	a.n.awaits = append(a.n.awaits, simAwait{a, index})
	a.n.moved()
}

// moved lets those go on whose wait is over. When the lease has ended, the others ask a
// majority.
func (n *simNode) moved() {
	if len(n.awaits) == 0 {
		return
	}
	g := n.machine.gate
	_, leased := g.Leased()
	left := n.awaits[:0]
	var over []func()
	for _, w := range n.awaits {
		switch {
		case min(w.index, g.end.Load()) <= g.applied.Load():
			n.s.stats.waited++
			over = append(over, func() { w.ask.view(g.LookUpTo(max(1, w.ask.upTo))) })
		case !leased:
			over = append(over, w.ask.confirm)
		default:
			left = append(left, w)
		}
	}
	n.awaits = left
	for _, do := range over {
		n.s.after(n.s.delay(10*time.Microsecond), n.inLife(do))
	}
}

// pause goes on at once mostly, and else after the event loop has stood still.
func (a *simAsk) pause(next func()) {
	if t := a.s.trouble; t.waits() {
		a.s.after(t.wait(), a.n.inLife(next))
		return
	}
	next()
}

func (a *simAsk) show(value string) {
	a.s.order.shows(a.simRead, value)
	a.finish()
}

func (a *simAsk) finish() {
	if a.over {
		return
	}
	a.over = true
	a.n.asks = slices.DeleteFunc(a.n.asks, func(other *simAsk) bool { return other == a })
	a.done()
}
